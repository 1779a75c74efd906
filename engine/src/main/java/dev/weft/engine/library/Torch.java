package dev.weft.engine.library;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * The libtorch of this process: loaded at first use, one for all. Methods that take a {@code long}
 * tensor want a live handle's address; {@link TensorHandle} is the type that guards them.
 */
public final class Torch {
  /** Bound once, so that the compiler of the virtual machine sees the handles as constants. */
  private static final class Holder {
    static final Torch INSTANCE = new Torch(Library.load(LibraryLocation.locate(System.getenv())));
  }

  private static volatile @org.jspecify.annotations.Nullable Throwable failure;

  private final Library library;
  private final Map<DataType, Integer> codes = new EnumMap<>(DataType.class);

  /** What hot paths reach through the constant instance. */
  final Functions functions;

  final long abi;

  private Torch(Library library) {
    this.library = library;
    this.functions = Functions.link(library);
    try {
      this.abi = (long) functions.abiVersion().invokeExact();
      codes.put(DataType.F32, (int) functions.codeF32().invokeExact());
      codes.put(DataType.BF16, (int) functions.codeBf16().invokeExact());
      codes.put(DataType.F16, (int) functions.codeF16().invokeExact());
      codes.put(DataType.F64, (int) functions.codeF64().invokeExact());
      codes.put(DataType.I32, (int) functions.codeI32().invokeExact());
      codes.put(DataType.I64, (int) functions.codeI64().invokeExact());
      codes.put(DataType.BOOL, (int) functions.codeBool().invokeExact());
    } catch (Throwable e) {
      throw wrap(e);
    }
  }

  /**
   * The libtorch of this process, loaded now if it was not already.
   *
   * @throws UserException if none can be had, the same at each call
   */
  public static Torch instance() {
    try {
      return Holder.INSTANCE;
    } catch (ExceptionInInitializerError e) {
      failure = e.getCause();
      throw wrap(e.getCause());
    } catch (NoClassDefFoundError e) {
      Throwable first = failure;
      throw first instanceof UserException known
          ? new UserException(String.valueOf(known.getMessage()), known)
          : new IllegalStateException("libtorch could not be loaded", first == null ? e : first);
    }
  }

  /** Its version. */
  public LibraryVersion version() {
    return library.version();
  }

  /** Where it was loaded from. */
  public LibraryLocation location() {
    return library.location();
  }

  /** libtorch's number for an element type. */
  public int code(DataType type) {
    return Objects.requireNonNull(codes.get(type));
  }

  /** The element type that libtorch gives this number; empty for one that Weft does not have. */
  public Optional<DataType> dataType(int code) {
    return codes.entrySet().stream()
        .filter(entry -> entry.getValue() == code)
        .map(Map.Entry::getKey)
        .findFirst();
  }

  /** libtorch's number for a kind of device. */
  public int code(DeviceKind kind) {
    try {
      return switch (kind) {
        case CPU -> (int) functions.deviceCpu().invokeExact();
        case CUDA -> (int) functions.deviceCuda().invokeExact();
      };
    } catch (Throwable e) {
      throw wrap(e);
    }
  }

  /** Links any function of the loaded libraries, if they have it. Cold: keep the handle. */
  public Optional<MethodHandle> link(Prototype prototype) {
    return library.link(prototype, false);
  }

  /**
   * The symbol of a kernel's direct function for a kind of device: {@code aoti_torch_cpu_mm_out}
   * for {@code mm_out}, or {@code aoti_torch_copy_} where one function serves all kinds. Empty if
   * this libtorch has neither.
   */
  public Optional<String> shim(DeviceKind kind, String name) {
    String own = "aoti_torch_" + kind.text() + "_" + name;
    String common = "aoti_torch_" + name;
    return library.symbols().find(own).isPresent()
        ? Optional.of(own)
        : library.symbols().find(common).map(_ -> common);
  }

  /** The message of the last failure on this thread. */
  String message() {
    MethodHandle message = functions.exceptionMessage();
    if (message == null) {
      return "no message (libtorch "
          + version()
          + " writes it to the standard error stream; 2.13 or newer hands it over)";
    }
    try {
      return Memory.text((long) message.invokeExact()).strip();
    } catch (Throwable e) {
      throw wrap(e);
    }
  }

  /**
   * Sets whether this thread records for libtorch's own gradients. Weft differentiates itself: off
   * on every thread that computes, where a new thread starts with on.
   */
  public void setGradMode(boolean enabled) {
    try {
      functions.setGradMode().invokeExact(enabled);
    } catch (Throwable e) {
      throw wrap(e);
    }
  }

  public boolean gradMode() {
    try {
      return (boolean) functions.gradMode().invokeExact();
    } catch (Throwable e) {
      throw wrap(e);
    }
  }

  /** Sets how many threads a parallel loop uses that THIS thread starts. */
  public void setThreads(int count) {
    // The first question or loop on a thread sets the default, over what was set before it.
    int _ = threads();
    changeThreads(count);
  }

  /** The same on a thread where it was set before, in some ten nanoseconds. */
  public void changeThreads(int count) {
    MethodHandle set = functions.setOpenMpThreads();
    if (set != null) {
      try {
        set.invokeExact(count);
      } catch (Throwable e) {
        throw wrap(e);
      }
    }
  }

  /** How many threads a parallel loop uses that this thread starts. */
  public int threads() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(ValueLayout.JAVA_INT);
      check((int) functions.threads().invokeExact(cell.address()), "torch_get_num_threads", "");
      return cell.get(ValueLayout.JAVA_INT, 0);
    } catch (Throwable e) {
      throw wrap(e);
    }
  }

  /**
   * Sets how many threads a matrix product of OpenBLAS uses, in the whole process. Nothing happens
   * where libtorch was built with another library.
   */
  public void setBlasThreads(int count) {
    MethodHandle set = functions.setBlasThreads();
    if (set != null) {
      try {
        set.invokeExact(count);
      } catch (Throwable e) {
        throw wrap(e);
      }
    }
  }

  /** What computes matrix products, and its version, as it names itself. */
  public String blas() {
    MethodHandle mkl = functions.mklVersion();
    MethodHandle openBlas = functions.openBlasVersion();
    try (Arena arena = Arena.ofConfined()) {
      if (mkl != null) {
        MemorySegment text = arena.allocate(256);
        mkl.invokeExact(text.address(), (int) text.byteSize());
        return text.getString(0).strip();
      }
      return openBlas == null
          ? "the matrix library inside libtorch"
          : Memory.text((long) openBlas.invokeExact()).strip();
    } catch (Throwable e) {
      throw wrap(e);
    }
  }

  /** Throws with libtorch's message if a call returned an error. */
  void check(int code, String operation, String arguments) {
    if (code != 0) {
      throw new KernelException(operation, arguments, message());
    }
  }

  /** The exception of a method handle's call, which declares any. */
  static RuntimeException wrap(Throwable failure) {
    return switch (failure) {
      case RuntimeException e -> e;
      case Error e -> throw e;
      default -> new IllegalStateException(failure);
    };
  }
}
