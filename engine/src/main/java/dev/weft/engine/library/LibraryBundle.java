package dev.weft.engine.library;

import dev.weft.core.cluster.UserException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.JarURLConnection;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;

/**
 * The native libraries that stand on the class path inside jars.
 *
 * @param libraries in load order
 * @param identity changes whenever a library does
 */
record LibraryBundle(List<Entry> libraries, String identity) {
  /** One library: its file name, where it is read from, its size in bytes. */
  record Entry(String name, URL source, long size) {}

  private static final String OPENBLAS = "org/bytedeco/openblas/linux-x86_64/";
  private static final String TORCH = "org/bytedeco/pytorch/linux-x86_64/";

  private static final List<String> RESOURCES =
      List.of(
          OPENBLAS + "libgcc_s.so.1",
          OPENBLAS + "libquadmath.so.0",
          OPENBLAS + "libgfortran.so.5",
          TORCH + "libgomp.so.1",
          OPENBLAS + "libopenblas.so.0",
          TORCH + "libc10.so",
          TORCH + "libtorch_cpu.so");

  LibraryBundle {
    libraries = List.copyOf(libraries);
  }

  /** Bytes of all libraries, unpacked. */
  long bytes() {
    return libraries.stream().mapToLong(Entry::size).sum();
  }

  /**
   * The libraries that Weft brings along.
   *
   * @throws UserException if there are none for this machine
   */
  static LibraryBundle onClassPath() {
    String system = System.getProperty("os.name", "") + " " + System.getProperty("os.arch", "");
    if (!system.toLowerCase(Locale.ROOT).equals("linux amd64")) {
      throw new UserException(
          "Weft brings libtorch along for Linux on x86-64 only, this is "
              + system
              + ". Set "
              + LibraryLocation.VARIABLE
              + " to the folder of a libtorch for this machine.");
    }
    return of(LibraryBundle.class.getClassLoader(), RESOURCES);
  }

  static LibraryBundle of(ClassLoader loader, List<String> resources) {
    List<Entry> entries = new ArrayList<>();
    StringBuilder identity = new StringBuilder();
    try {
      for (String resource : resources) {
        URL source = loader.getResource(resource);
        if (source == null) {
          throw new UserException(
              "the class path has no "
                  + resource
                  + ". Add the artifacts org.bytedeco:pytorch and org.bytedeco:openblas with"
                  + " classifier linux-x86_64, or set "
                  + LibraryLocation.VARIABLE
                  + " to the folder of a libtorch.");
        }
        String name = resource.substring(resource.lastIndexOf('/') + 1);
        URLConnection connection = source.openConnection();
        long size = connection.getContentLengthLong();
        long mark = connection.getLastModified();
        if (connection instanceof JarURLConnection jar) {
          size = jar.getJarEntry().getSize();
          mark = jar.getJarEntry().getCrc();
        } else {
          connection.getInputStream().close();
        }
        entries.add(new Entry(name, source, size));
        identity.append(name).append(' ').append(size).append(' ').append(mark).append('\n');
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read the native libraries on the class path", e);
    }
    byte[] digest = sha256().digest(identity.toString().getBytes(StandardCharsets.UTF_8));
    return new LibraryBundle(entries, HexFormat.of().formatHex(digest, 0, 8));
  }

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  static InputStream open(Entry entry) throws IOException {
    return entry.source().openStream();
  }
}
