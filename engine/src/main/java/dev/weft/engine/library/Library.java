package dev.weft.engine.library;

import dev.weft.core.cluster.UserException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A libtorch that this process has loaded; it stays so until the process ends.
 *
 * @param location the files it was loaded from
 * @param version what it says of itself
 * @param symbols the functions of all its libraries
 */
public record Library(LibraryLocation location, LibraryVersion version, SymbolLookup symbols) {
  private static final Linker LINKER = Linker.nativeLinker();
  private static final Linker.Option BRIEF = Linker.Option.critical(false);

  /**
   * Loads a libtorch.
   *
   * @throws UserException if a file cannot be loaded or the version is too old, saying what was
   *     found and the mend
   */
  static Library load(LibraryLocation location) {
    setVariable("THP_MEM_ALLOC_ENABLE", "1");
    // Intel's matrix library shall share the threads of libtorch's own loops, and use all of them
    // always: a sum that another number of threads split is not the same to the last bit.
    setVariable("MKL_THREADING_LAYER", "GNU");
    setVariable("MKL_DYNAMIC", "FALSE");
    SymbolLookup symbols = _ -> Optional.empty();
    for (Path file : location.files()) {
      Optional<String> fault = ElfFile.fault(file);
      if (fault.isPresent()) {
        throw unloadable(file, location, fault.get(), null);
      }
      try {
        symbols = SymbolLookup.libraryLookup(file, Arena.global()).or(symbols);
      } catch (IllegalArgumentException e) {
        throw unloadable(file, location, failure(file, e), e);
      }
    }
    LibraryVersion version =
        symbols
            .find("aoti_torch_abi_version")
            .map(
                address ->
                    LINKER.downcallHandle(address, FunctionDescriptor.of(ValueLayout.JAVA_LONG)))
            .map(
                handle -> {
                  try {
                    return LibraryVersion.ofAbi((long) handle.invokeExact());
                  } catch (Throwable e) {
                    throw Torch.wrap(e);
                  }
                })
            .orElse(new LibraryVersion(0, 0, 0));
    return checked(new Library(location, version, symbols));
  }

  private static UserException unloadable(
      Path file, LibraryLocation location, String reason, @Nullable Throwable cause) {
    return new UserException(
        "cannot load %s (from %s): %s. Point %s at a libtorch %s or newer for this machine, with the libraries it depends on, or unset it."
            .formatted(
                file, location.origin(), reason, LibraryLocation.VARIABLE, LibraryVersion.MINIMUM),
        cause);
  }

  /**
   * The library, if it is new enough.
   *
   * @throws UserException if it is not
   */
  static Library checked(Library library) {
    if (library.version.compareTo(LibraryVersion.MINIMUM) < 0
        || library.symbols.find("torch_call_dispatcher").isEmpty()) {
      throw new UserException(
          "libtorch %s in %s is too old: expected %s or newer. Point %s at a newer one, or unset it to use the libtorch that Weft brings along."
              .formatted(
                  library.version.major() == 0 ? "(of unknown version)" : library.version,
                  library.location.directory(),
                  LibraryVersion.MINIMUM,
                  LibraryLocation.VARIABLE));
    }
    return library;
  }

  /** Links a function if the library has it. */
  Optional<MethodHandle> link(Prototype prototype, boolean brief) {
    return symbols
        .find(prototype.name())
        .map(
            address ->
                brief
                    ? LINKER.downcallHandle(address, prototype.descriptor(), BRIEF)
                    : LINKER.downcallHandle(address, prototype.descriptor()));
  }

  MethodHandle linkRequired(Prototype prototype, boolean brief) {
    return link(prototype, brief)
        .orElseThrow(
            () ->
                new UserException(
                    "libtorch %s in %s has no function %s: point %s at another libtorch, or unset it."
                        .formatted(
                            version,
                            location.directory(),
                            prototype.name(),
                            LibraryLocation.VARIABLE)));
  }

  /**
   * Sets a variable of the environment, which libraries read once when they are loaded, unless the
   * user did. Huge pages for libtorch's allocator cost a large temporary tensor a fraction of the
   * page faults.
   */
  private static void setVariable(String name, String value) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment function = LINKER.defaultLookup().findOrThrow("setenv");
      MethodHandle setenv =
          LINKER.downcallHandle(
              function,
              FunctionDescriptor.of(
                  ValueLayout.JAVA_INT,
                  ValueLayout.ADDRESS,
                  ValueLayout.ADDRESS,
                  ValueLayout.JAVA_INT));
      int _ = (int) setenv.invokeExact(arena.allocateFrom(name), arena.allocateFrom(value), 0);
    } catch (Throwable e) {
      throw Torch.wrap(e);
    }
  }

  /** What the system's loader says, which names the dependency that is missing. */
  private static String failure(Path file, IllegalArgumentException refusal) {
    try (Arena arena = Arena.ofConfined()) {
      MethodHandle open =
          LINKER.downcallHandle(
              LINKER.defaultLookup().findOrThrow("dlopen"),
              FunctionDescriptor.of(
                  ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
      MethodHandle error =
          LINKER.downcallHandle(
              LINKER.defaultLookup().findOrThrow("dlerror"),
              FunctionDescriptor.of(ValueLayout.JAVA_LONG));
      MemorySegment _ = (MemorySegment) open.invokeExact(arena.allocateFrom(file.toString()), 1);
      String message = Memory.text((long) error.invokeExact());
      return message.isEmpty() ? String.valueOf(refusal.getMessage()) : message;
    } catch (Throwable _) {
      return String.valueOf(refusal.getMessage());
    }
  }
}
