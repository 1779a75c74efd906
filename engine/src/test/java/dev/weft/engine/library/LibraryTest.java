package dev.weft.engine.library;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class LibraryTest {
  @TempDir Path directory;

  @Test
  void loadsOnceAndSaysWhatAndFromWhere() {
    Torch torch = Torch.instance();
    assertSame(torch, Torch.instance());
    assertTrue(torch.version().compareTo(LibraryVersion.MINIMUM) >= 0);
    assertTrue(Files.isDirectory(torch.location().directory()));
    assertTrue(torch.threads() >= 1);
  }

  @Test
  void everyElementTypeHasItsOwnCode() {
    Torch torch = Torch.instance();
    Set<Integer> codes = new HashSet<>();
    for (DataType type : DataType.values()) {
      assertTrue(codes.add(torch.code(type)));
      assertEquals(Optional.of(type), torch.dataType(torch.code(type)));
    }
  }

  @Test
  void directFunctionsAreNamedByKindOfDevice() {
    assertEquals(
        Optional.of("aoti_torch_cpu_mm_out"), Torch.instance().shim(DeviceKind.CPU, "mm_out"));
    assertEquals(Optional.of("aoti_torch_copy_"), Torch.instance().shim(DeviceKind.CPU, "copy_"));
    assertEquals(Optional.empty(), Torch.instance().shim(DeviceKind.CPU, "no_such_kernel"));
  }

  @Test
  void aMissingDirectoryIsTheUsersMistake() {
    UserException e = locate(directory.resolve("absent"));
    assertTrue(e.getMessage().contains("WEFT_LIBTORCH=" + directory.resolve("absent")));
    assertTrue(e.getMessage().contains("no such directory"));
    assertTrue(e.getMessage().contains("unset WEFT_LIBTORCH"));
  }

  @Test
  void anEmptyDirectoryIsTheUsersMistake() {
    UserException e = locate(directory);
    assertTrue(e.getMessage().contains("has no libc10.so (found: nothing)"), e.getMessage());
  }

  @Test
  void aDirectoryWithoutTheKernelsSaysWhatItHas() throws IOException {
    Files.createFile(directory.resolve("libc10.so"));
    UserException e = locate(directory);
    assertTrue(e.getMessage().contains("has no libtorch_cpu.so (found: libc10.so)"));
  }

  @Test
  void aFileThatIsNoLibraryIsNamed() throws IOException {
    Files.writeString(directory.resolve("libc10.so"), "no library");
    assertTrue(loadFailure().contains("it is no 64-bit Linux library"));
  }

  @Test
  void aLibraryCutShortNeverReachesTheLoaderThatWouldEndTheProcess() throws IOException {
    Path whole = Torch.instance().location().directory().resolve("libc10.so");
    long size = Files.size(whole);
    for (long length : new long[] {0, 63, 64, 1 << 16, size / 2}) {
      try (InputStream input = Files.newInputStream(whole)) {
        Files.write(directory.resolve("libc10.so"), input.readNBytes((int) length));
      }
      String message = loadFailure();
      assertTrue(message.contains(length < 64 ? "no 64-bit" : "it is cut short"), message);
    }
    assertEquals(Optional.empty(), ElfFile.fault(whole));
  }

  private String loadFailure() throws IOException {
    Files.write(directory.resolve("libtorch_cpu.so"), new byte[0]);
    LibraryLocation location =
        LibraryLocation.locate(Map.of(LibraryLocation.VARIABLE, directory.toString()));
    String message =
        String.valueOf(
            assertThrows(UserException.class, () -> Library.load(location)).getMessage());
    assertTrue(message.contains("cannot load " + directory.resolve("libc10.so")), message);
    return message;
  }

  @Test
  void anOldLibraryNamesBothVersions() {
    Library old =
        new Library(
            new LibraryLocation(directory, List.of(), "WEFT_LIBTORCH=" + directory),
            LibraryVersion.ofAbi(0x0209_0100_0000_0000L),
            _ -> Optional.empty());
    UserException e = assertThrows(UserException.class, () -> Library.checked(old));
    assertTrue(e.getMessage().contains("libtorch 2.9.1 in " + directory + " is too old"));
    assertTrue(e.getMessage().contains("expected 2.10.0 or newer"));
  }

  @Test
  void dependenciesComeBeforeWhatNeedsThem() throws IOException {
    for (String name :
        List.of("libtorch_cpu.so", "libc10.so", "libgomp-a34b3233.so.1", "libopenblas.so.0")) {
      Files.createFile(directory.resolve(name));
    }
    assertEquals(
        List.of("libgomp-a34b3233.so.1", "libopenblas.so.0", "libc10.so", "libtorch_cpu.so"),
        LibraryLocation.ofDirectory(directory).files().stream()
            .map(file -> file.getFileName().toString())
            .toList());
  }

  @Test
  void theMatrixLibraryFitsTheProcessor() {
    assertEquals(
        Optional.of("libmkl_avx512.so.2"),
        LibraryBundle.vectorKernels(
            Set.of("avx2", "fma", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl")));
    assertEquals(
        Optional.of("libmkl_avx2.so.2"),
        LibraryBundle.vectorKernels(Set.of("avx2", "fma", "avx512f")));
    assertEquals(Optional.empty(), LibraryBundle.vectorKernels(Set.of("avx", "sse4_2")));
    assertTrue(!Torch.instance().blas().isEmpty());
  }

  /** Both say which file libtorch finds under the name of OpenBLAS. */
  @Test
  void oneMatrixLibraryIsLoadedUnderTheNameThatLibtorchKnows() {
    for (Optional<String> kernels :
        List.of(Optional.of("libmkl_avx2.so.2"), Optional.<String>empty())) {
      List<LibraryBundle.Resource> loaded =
          LibraryBundle.resources(kernels).stream()
              .filter(r -> r.loaded() && r.name().equals("libopenblas.so.0"))
              .toList();
      assertEquals(1, loaded.size());
      assertEquals(kernels.isPresent(), loaded.getFirst().path().contains("mkl"));
    }
  }

  private static UserException locate(Path directory) {
    return assertThrows(
        UserException.class,
        () -> LibraryLocation.locate(Map.of(LibraryLocation.VARIABLE, directory.toString())));
  }
}
