import java.util.ArrayList;
import java.util.List;

/**
 * Runs several commands of keytool in one JVM, for each of its own takes a second or three.
 *
 * <p>Arguments: those of the commands, with {@code +} between one command and the next.
 */
public final class Keytool {
  public static void main(String[] arguments) throws Exception {
    List<String> command = new ArrayList<>();
    for (String each : arguments) {
      if (each.equals("+")) {
        run(command);
        command.clear();
      } else {
        command.add(each);
      }
    }
    run(command);
  }

  private static void run(List<String> command) throws Exception {
    // It leaves the JVM with 1, and says why, where it cannot do it.
    sun.security.tools.keytool.Main.main(command.toArray(new String[0]));
  }
}
