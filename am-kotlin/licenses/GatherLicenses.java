import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

/**
 * Gathers the licences of all that goes into the jar; a step of both builds, run from its source.
 *
 * <p>Arguments: the directory to write, knit's own LICENSE, and the class path of what is packed. Written are
 * {@code META-INF/licenses/}: {@code LICENSE} (knit's), {@code THIRD-PARTY.txt} (a line per artifact: name, licence,
 * texts), {@code NOTICE} (all notices, each once) and {@code texts/}. Shading drops what artifacts have under equal
 * names, so it packs these instead.
 *
 * <p>A licence is what the POM says, or a parent of it; its text is the artifact's own, else the one beside this file.
 * An artifact without either fails the build.
 */
public final class GatherLicenses {
  /** What POMs call licences, and their SPDX identifiers. */
  private static final Map<Pattern, String> NAMES = new LinkedHashMap<>();

  static {
    NAMES.put(Pattern.compile("(?i).*apache.*2.*"), "Apache-2.0");
    NAMES.put(Pattern.compile("(?i)(the )?(new )?bsd[- ]3.*|3-clause bsd.*"), "BSD-3-Clause");
    NAMES.put(Pattern.compile("(?i)(the )?mit( licen[cs]e)?"), "MIT");
    NAMES.put(Pattern.compile("(?i)cddl.*gpl.*classpath.*"), "CDDL-1.1 OR GPL-2.0-only WITH Classpath-exception-2.0");
  }

  private static final Pattern LICENSE =
      Pattern.compile("(?i)(META-INF/)?(licen[cs]e|copying)([-._][^/]*)?|META-INF/licen[cs]es?/.+[^/]");
  private static final Pattern NOTICE = Pattern.compile("(?i)(META-INF/)?notice([-._][^/]*)?");

  private final Path out;
  private final Path texts;
  private final Map<String, String> fileOfText = new LinkedHashMap<>();
  private final Map<String, TreeSet<String>> namesOfNotice = new LinkedHashMap<>();

  private GatherLicenses(Path out, Path texts) {
    this.out = out;
    this.texts = texts;
  }

  public static void main(String[] arguments) throws Exception {
    Path own = Path.of(arguments[1]);
    List<Path> jars =
        Arrays.stream(arguments[2].split(Pattern.quote(System.getProperty("path.separator"))))
            .filter(each -> each.endsWith(".jar"))
            .map(Path::of)
            .sorted((a, b) -> a.getFileName().compareTo(b.getFileName()))
            .collect(Collectors.toList());
    Path out = Path.of(arguments[0]).resolve("META-INF/licenses");
    deleteAll(out);
    Files.createDirectories(out.resolve("texts"));
    Files.copy(own, out.resolve("LICENSE"));
    try {
      new GatherLicenses(out, Path.of(arguments[3])).gather(jars);
    } catch (MissingLicenceException missing) {
      System.err.println(missing.getMessage());
      System.exit(1);
    }
  }

  private void gather(List<Path> jars) throws Exception {
    Map<String, String> lines = new TreeMap<>();
    for (Path jar : jars) {
      Pom pom = Pom.of(jar);
      String licence = pom.licence();
      Map<String, String> licences = new TreeMap<>();
      try (ZipFile zip = new ZipFile(jar.toFile())) {
        for (ZipEntry entry : (Iterable<ZipEntry>) zip.stream().map(ZipEntry.class::cast)::iterator) {
          if (entry.isDirectory() || entry.getName().endsWith(".class")) {
            continue;
          }
          if (NOTICE.matcher(entry.getName()).matches()) {
            namesOfNotice.computeIfAbsent(read(zip, entry).strip(), text -> new TreeSet<>()).add(pom.name());
          } else if (LICENSE.matcher(entry.getName()).matches()) {
            licences.put(entry.getName(), read(zip, entry));
          }
        }
      }
      if (licences.isEmpty()) {
        Path standard = standardText(pom, licence);
        licences.put(standard.getFileName().toString(), Files.readString(standard));
      }
      List<String> files = new ArrayList<>();
      for (Map.Entry<String, String> each : licences.entrySet()) {
        files.add(textFile(pom, each.getKey(), each.getValue()));
      }
      lines.put(pom.name(), pom.name() + "\t" + licence + "\t" + String.join(" ", new TreeSet<>(files)));
    }
    Files.writeString(out.resolve("THIRD-PARTY.txt"), String.join("\n", lines.values()) + "\n");
    Files.writeString(out.resolve("NOTICE"), notices());
  }

  /** Of a licence that is the same for all, or of one with the holders' names, which is kept by group. */
  private Path standardText(Pom pom, String licence) {
    for (String name : new String[] {pom.group, licence}) {
      Path path = texts.resolve(name + ".txt");
      if (Files.exists(path)) {
        return path;
      }
    }
    throw new MissingLicenceException(
        pom.name() + " is under " + licence + " and has no text of it: put one into am-kotlin/licenses/" + pom.group + ".txt.");
  }

  /** The file of a text, which artifacts with equal texts share. */
  private String textFile(Pom pom, String name, String text) throws IOException {
    String key = text.replaceAll("\\s+", " ").strip();
    String known = fileOfText.get(key);
    if (known == null) {
      String last = name.substring(name.lastIndexOf('/') + 1);
      known = "texts/" + (Files.exists(texts.resolve(last)) ? last : pom.artifact + "-" + last);
      fileOfText.put(key, known);
      Files.writeString(out.resolve(known), text);
    }
    return known;
  }

  private String notices() {
    StringBuilder all = new StringBuilder("knit\nCopyright the knit authors\n");
    all.append("\nThis jar contains the libraries of THIRD-PARTY.txt; LICENSE and texts/ have their licences.\n");
    namesOfNotice.forEach(
        (text, names) -> all.append("\n---- ").append(String.join(", ", names)).append("\n\n").append(text).append("\n"));
    return all.toString();
  }

  private static String read(ZipFile zip, ZipEntry entry) throws IOException {
    try (InputStream in = zip.getInputStream(entry)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private static void deleteAll(Path directory) throws IOException {
    if (!Files.exists(directory)) {
      return;
    }
    Files.walkFileTree(
        directory,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path visited, IOException error) throws IOException {
            Files.delete(visited);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  private static final class MissingLicenceException extends RuntimeException {
    MissingLicenceException(String message) {
      super(message);
    }
  }

  /** What Maven's repository or Gradle's cache keeps of an artifact. */
  private static final class Pom {
    final String group;
    final String artifact;
    final String version;
    private final Store store;
    private final Element project;

    private Pom(Store store, String group, String artifact, String version) throws Exception {
      this.store = store;
      this.group = group;
      this.artifact = artifact;
      this.version = version;
      Path file = store.pom(group, artifact, version);
      this.project = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file.toFile()).getDocumentElement();
    }

    static Pom of(Path jar) throws Exception {
      Path version = jar.toAbsolutePath().getParent();
      boolean isGradles = jar.toString().contains("files-2.1");
      if (isGradles) {
        version = version.getParent(); // …/files-2.1/GROUP/ARTIFACT/VERSION/HASH/x.jar
      }
      Path artifact = version.getParent();
      Path group = artifact.getParent();
      String artifactId = artifact.getFileName().toString();
      String versionId = version.getFileName().toString();
      if (isGradles) {
        Store store = new Store(group.getParent(), true);
        return new Pom(store, group.getFileName().toString(), artifactId, versionId);
      }
      Path own = version.resolve(artifactId + "-" + versionId + ".pom");
      Element project = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(own.toFile()).getDocumentElement();
      String groupId = text(project, "groupId");
      if (groupId == null) {
        groupId = text(child(project, "parent"), "groupId");
      }
      Path root = group;
      for (int parts = groupId.split("\\.").length; parts > 0; parts--) {
        root = root.getParent();
      }
      return new Pom(new Store(root, false), groupId, artifactId, versionId);
    }

    String name() {
      return group + ":" + artifact + ":" + version;
    }

    /** The SPDX expression of this or the nearest parent that names licences. */
    String licence() throws Exception {
      for (Pom pom = this; pom != null; pom = pom.parent()) {
        Element licenses = child(pom.project, "licenses");
        if (licenses != null) {
          List<String> names = children(licenses).map(each -> text(each, "name")).map(this::spdx).distinct().collect(Collectors.toList());
          if (!names.isEmpty()) {
            return String.join(" OR ", names);
          }
        }
      }
      throw new MissingLicenceException(name() + " goes into the jar and names no licence.");
    }

    private String spdx(String name) {
      return NAMES.entrySet().stream()
          .filter(each -> each.getKey().matcher(name.strip()).matches())
          .map(Map.Entry::getValue)
          .findFirst()
          .orElseThrow(
              () -> new MissingLicenceException(name() + " is under '" + name + "': may it be packed? GatherLicenses knows no such licence."));
    }

    private Pom parent() throws Exception {
      Element parent = child(project, "parent");
      if (parent == null) {
        return null;
      }
      return new Pom(store, text(parent, "groupId"), text(parent, "artifactId"), text(parent, "version"));
    }

    private static Element child(Element element, String name) {
      return children(element).filter(each -> each.getTagName().equals(name)).findFirst().orElse(null);
    }

    private static String text(Element element, String name) {
      Element child = child(element, name);
      return child == null ? null : child.getTextContent().strip();
    }

    private static Stream<Element> children(Element element) {
      List<Element> found = new ArrayList<>();
      for (Node node = element.getFirstChild(); node != null; node = node.getNextSibling()) {
        if (node instanceof Element) {
          found.add((Element) node);
        }
      }
      return found.stream();
    }
  }

  private static final class Store {
    private final Path root;
    private final boolean isGradles;

    Store(Path root, boolean isGradles) {
      this.root = root;
      this.isGradles = isGradles;
    }

    Path pom(String group, String artifact, String version) throws IOException {
      String name = artifact + "-" + version + ".pom";
      Path directory = root.resolve(isGradles ? group : group.replace('.', '/')).resolve(artifact).resolve(version);
      try (Stream<Path> found = Files.find(directory, 2, (path, attributes) -> path.getFileName().toString().equals(name))) {
        return found.findFirst().orElseThrow(() -> new IOException("There is no " + name + " in " + directory));
      }
    }
  }
}
