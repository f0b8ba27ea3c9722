import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import org.apache.kerby.kerberos.kerb.server.KdcConfigKey;
import org.apache.kerby.kerberos.kerb.server.SimpleKdcServer;

/**
 * A KDC that keeps nothing, and yet is the same one after it was killed and started again.
 *
 * <p>Every key, the one that its tickets are sealed with included, comes from a secret that is given
 * to it. So keytabs and tickets go on being good, as those of a KDC with a database do; Hadoop's own
 * MiniKdc draws new keys each time.
 *
 * <p>Arguments: realm, port, directory (of its own), file of the secret, directory of the keytabs
 * (each principal gets one there, {@code nn_localhost.keytab}), principals. It is up when it says
 * {@code KDC is up}.
 */
public final class Kdc {
  private static final int DAY_SECONDS = 24 * 60 * 60;

  public static void main(String[] arguments) throws Exception {
    String realm = arguments[0];
    int port = Integer.parseInt(arguments[1]);
    File directory = new File(arguments[2]);
    String secret =
        new String(Files.readAllBytes(Paths.get(arguments[3])), StandardCharsets.UTF_8).trim();
    Path keytabs = Paths.get(arguments[4]);
    List<String> principals = Arrays.asList(arguments).subList(5, arguments.length);

    SimpleKdcServer kdc = new SimpleKdcServer();
    kdc.setWorkDir(directory);
    kdc.setKdcRealm(realm);
    kdc.setKdcHost("localhost");
    kdc.setKdcTcpPort(port);
    kdc.setAllowTcp(true);
    kdc.setAllowUdp(false);
    kdc.getKdcConfig().setLong(KdcConfigKey.MAXIMUM_TICKET_LIFETIME, (long) DAY_SECONDS);
    kdc.getKdcConfig().setLong(KdcConfigKey.MAXIMUM_RENEWABLE_LIFETIME, 7L * DAY_SECONDS);
    kdc.init();
    String grantingTickets = "krbtgt/" + realm + "@" + realm;
    kdc.getKadmin().changePassword(grantingTickets, secret + grantingTickets);
    for (String principal : principals) {
      kdc.createPrincipal(principal, secret + principal);
      Path keytab = keytabs.resolve(principal.replace('/', '_') + ".keytab");
      if (!Files.exists(keytab)) {
        // Written beside it first: a client may look at any moment.
        Path part = keytabs.resolve("." + keytab.getFileName());
        Files.deleteIfExists(part);
        kdc.exportPrincipal(principal, part.toFile());
        Files.setPosixFilePermissions(part, PosixFilePermissions.fromString("rw-------"));
        Files.move(part, keytab);
      }
    }
    kdc.start();
    System.out.println("KDC is up");
    Thread.currentThread().join();
  }
}
