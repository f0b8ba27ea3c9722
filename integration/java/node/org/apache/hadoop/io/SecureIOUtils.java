package org.apache.hadoop.io;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumSet;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * In the place of Hadoop's class of this name, on the NodeManagers of secure embedded clusters.
 *
 * <p>Hadoop's opens a container's log only with its native library, which is in no jar, so that it
 * can ask the open file who owns it: a container's user could else put a link to another's file
 * there. Without the library a secure NodeManager shows no log and collects none. And whoever asks,
 * the owner is wrong here: all containers run as the one operating system user who started the
 * cluster, whatever user of the cluster they belong to.
 *
 * <p>So this one asks nobody. It protects nothing, and does not belong on any other cluster.
 */
public class SecureIOUtils {
  private SecureIOUtils() {}

  public static RandomAccessFile openForRandomRead(
      File file, String mode, String expectedOwner, String expectedGroup) throws IOException {
    return new RandomAccessFile(file, mode);
  }

  public static FSDataInputStream openFSDataInputStream(
      File file, String expectedOwner, String expectedGroup) throws IOException {
    return FileSystem.getLocal(new Configuration()).getRaw().open(new Path(file.toURI()));
  }

  public static FileInputStream openForRead(File file, String expectedOwner, String expectedGroup)
      throws IOException {
    return new FileInputStream(file);
  }

  /** Makes a file that is not there yet, with these bits of {@code chmod}, and opens it. */
  public static FileOutputStream createForWrite(File file, int permissions) throws IOException {
    Set<PosixFilePermission> wanted = EnumSet.noneOf(PosixFilePermission.class);
    for (PosixFilePermission each : PosixFilePermission.values()) {
      // They are declared in the order of the bits, from the owner's reading down.
      if ((permissions >> (8 - each.ordinal()) & 1) == 1) {
        wanted.add(each);
      }
    }
    try {
      Files.createFile(file.toPath(), PosixFilePermissions.asFileAttribute(wanted));
    } catch (FileAlreadyExistsException there) {
      throw new AlreadyExistsException(there);
    }
    return new FileOutputStream(file);
  }

  public static class AlreadyExistsException extends IOException {
    private static final long serialVersionUID = 1L;

    public AlreadyExistsException(String message) {
      super(message);
    }

    public AlreadyExistsException(Throwable cause) {
      super(cause);
    }
  }
}
