package dev.weft.engine.library;

import dev.weft.core.cluster.UserException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.JarURLConnection;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/**
 * The native libraries that stand on the class path inside jars.
 *
 * @param libraries in load order
 * @param identity changes whenever a library does
 */
record LibraryBundle(List<Entry> libraries, String identity) {
  /**
   * One library.
   *
   * @param name of the file that it becomes
   * @param source where it is read from
   * @param size in bytes
   * @param loaded whether Weft loads it; if not, another library finds it beside itself
   */
  record Entry(String name, URL source, long size, boolean loaded) {}

  /**
   * A library as the class path has it.
   *
   * @param path of the resource
   * @param name of the file that it becomes
   * @param loaded whether Weft loads it
   */
  record Resource(String path, String name, boolean loaded) {
    static Resource of(String path) {
      return new Resource(path, path.substring(path.lastIndexOf('/') + 1), true);
    }

    static Resource beside(String path) {
      return new Resource(path, path.substring(path.lastIndexOf('/') + 1), false);
    }
  }

  private static final String OPENBLAS = "org/bytedeco/openblas/linux-x86_64/";
  private static final String MKL = "org/bytedeco/mkl/linux-x86_64/";
  private static final String TORCH = "org/bytedeco/pytorch/linux-x86_64/";

  /** The name under which libtorch looks for its matrix library. */
  private static final String BLAS = "libopenblas.so.0";

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
    ClassLoader loader = LibraryBundle.class.getClassLoader();
    Optional<String> kernels = vectorKernels(processorFlags());
    boolean mkl =
        kernels.isPresent()
            && loader.getResource(MKL + kernels.get()) != null
            && loader.getResource(MKL + "libmkl_rt.so.2") != null;
    return of(loader, resources(mkl ? kernels : Optional.empty()));
  }

  /**
   * The libraries to load, dependencies first. Intel's matrix library takes the place of OpenBLAS
   * where it has kernels for the processor: a training step takes a quarter less time with it.
   *
   * @param kernels the file of its kernels; empty for OpenBLAS
   */
  static List<Resource> resources(Optional<String> kernels) {
    var resources = new ArrayList<Resource>();
    resources.add(Resource.of(OPENBLAS + "libgcc_s.so.1"));
    if (kernels.isEmpty()) {
      resources.add(Resource.of(OPENBLAS + "libquadmath.so.0"));
      resources.add(Resource.of(OPENBLAS + "libgfortran.so.5"));
    }
    resources.add(Resource.of(TORCH + "libgomp.so.1"));
    if (kernels.isPresent()) {
      resources.add(Resource.beside(MKL + "libmkl_core.so.2"));
      resources.add(Resource.beside(MKL + "libmkl_intel_lp64.so.2"));
      resources.add(Resource.beside(MKL + "libmkl_gnu_thread.so.2"));
      resources.add(Resource.beside(MKL + kernels.get()));
      resources.add(new Resource(MKL + "libmkl_rt.so.2", BLAS, true));
    } else {
      resources.add(Resource.of(OPENBLAS + BLAS));
    }
    resources.add(Resource.of(TORCH + "libc10.so"));
    resources.add(Resource.of(TORCH + "libtorch_cpu.so"));
    return resources;
  }

  /** Which of Intel's kernels a processor runs, told by its flags; empty for one too old. */
  static Optional<String> vectorKernels(Set<String> flags) {
    if (flags.containsAll(List.of("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"))) {
      return Optional.of("libmkl_avx512.so.2");
    }
    return flags.containsAll(List.of("avx2", "fma"))
        ? Optional.of("libmkl_avx2.so.2")
        : Optional.empty();
  }

  private static Set<String> processorFlags() {
    try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.startsWith("flags"))
          .findFirst()
          .map(line -> (Set<String>) new HashSet<>(List.of(line.split("\\s+"))))
          .orElse(Set.of());
    } catch (IOException e) {
      return Set.of();
    }
  }

  static LibraryBundle of(ClassLoader loader, List<Resource> resources) {
    List<Entry> entries = new ArrayList<>();
    StringBuilder identity = new StringBuilder();
    try {
      for (Resource resource : resources) {
        URL source = loader.getResource(resource.path());
        if (source == null) {
          throw new UserException(
              "the class path has no "
                  + resource.path()
                  + ". Add the artifacts org.bytedeco:pytorch and org.bytedeco:openblas with"
                  + " classifier linux-x86_64, or set "
                  + LibraryLocation.VARIABLE
                  + " to the folder of a libtorch.");
        }
        URLConnection connection = source.openConnection();
        long size = connection.getContentLengthLong();
        long mark = connection.getLastModified();
        if (connection instanceof JarURLConnection jar) {
          size = jar.getJarEntry().getSize();
          mark = jar.getJarEntry().getCrc();
        } else {
          connection.getInputStream().close();
        }
        entries.add(new Entry(resource.name(), source, size, resource.loaded()));
        identity
            .append(resource.name())
            .append(' ')
            .append(size)
            .append(' ')
            .append(mark)
            .append('\n');
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
