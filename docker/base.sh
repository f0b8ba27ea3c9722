#!/usr/bin/env bash
# Makes a base image for the dockerized cluster where no registry can be reached: a minimal Debian (or Ubuntu) as this
# machine's own, from the mirror this machine's own apt uses, so that apt works in it as it does here.
#
#     docker/base.sh IMAGE
#
# Needs root and debootstrap; takes about a minute.
set -euo pipefail

image=$1

say() {
  echo "$*" >&2
}

if ! command -v debootstrap >/dev/null || [ "$(id -u)" != 0 ]; then
  say "The public base image cannot be pulled, and to make one this needs debootstrap and root: install it" \
    "(apt-get install debootstrap) and run as root, or let the Docker engine reach a registry."
  exit 1
fi

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:?}")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
  awk -v suite="$suite" '$2 == suite && $3 == "main" { print $1; exit }')
if [ -z "$mirror" ]; then
  say "This machine's apt has no source for the component main of $suite."
  exit 1
fi

root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
say "Making a base image of $suite by debootstrap"
if ! debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1; then
  tail -n 30 "$root.log" >&2
  say "debootstrap failed; all it said is in $root.log"
  exit 1
fi
rm -f "$root.log"

# apt in it as here: sources, keys, proxies; passwords (auth.conf) stay where they are.
rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d
for part in sources.list sources.list.d trusted.gpg.d apt.conf apt.conf.d; do
  [ ! -e "/etc/apt/$part" ] || cp -rL "/etc/apt/$part" "$root/etc/apt/"
done
for directory in /usr/share/keyrings /etc/apt/keyrings; do
  [ ! -d "$directory" ] || { mkdir -p "$root$directory" && cp -rLn "$directory/." "$root$directory/"; }
done
# Hooks of this machine's packages have no business there.
grep -lrE 'Pre-Install-Pkgs|Post-Invoke|Pre-Invoke' "$root/etc/apt/apt.conf.d" | xargs -r rm -f
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
  mkdir -p "$root/etc/ssl/certs"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
fi
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$image" >/dev/null
say "Made $image"
