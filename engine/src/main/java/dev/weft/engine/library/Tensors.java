package dev.weft.engine.library;

import dev.weft.core.graph.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** What can be asked of, and done to, the address of a live tensor handle. */
final class Tensors {
  private static final Torch TORCH = Torch.instance();

  private Tensors() {}

  static void delete(long handle) {
    try {
      TORCH.check(
          (int) TORCH.functions.deleteTensor().invokeExact(handle),
          "aoti_torch_delete_tensor_object",
          "");
    } catch (Throwable e) {
      throw Torch.wrap(e);
    }
  }

  /** Bytes of the memory behind a tensor, shared with its views; 0 for an undefined tensor. */
  static long storageBytes(long handle) {
    return isDefined(handle)
        ? ask(TORCH.functions.storageSize(), "aoti_torch_get_storage_size", handle)
        : 0;
  }

  static boolean isDefined(long handle) {
    return (ask(TORCH.functions.isDefined(), "aoti_torch_is_defined", handle) & 1) != 0;
  }

  static long dataAddress(long handle) {
    return ask(TORCH.functions.dataPointer(), "aoti_torch_get_data_ptr", handle);
  }

  static int dtypeCode(long handle) {
    return (int) ask(TORCH.functions.dtype(), "aoti_torch_get_dtype", handle);
  }

  static long[] sizes(long handle) {
    return numbers(handle, ask(TORCH.functions.sizes(), "aoti_torch_get_sizes", handle));
  }

  static long[] strides(long handle) {
    return numbers(handle, ask(TORCH.functions.strides(), "aoti_torch_get_strides", handle));
  }

  /** {@code f32[2,3]}, for messages; an undefined tensor is {@code undefined}. */
  static String describe(long handle) {
    if (!isDefined(handle)) {
      return "undefined";
    }
    int code = dtypeCode(handle);
    String type = TORCH.dataType(code).map(Object::toString).orElse("type" + code);
    return type + Shape.of(sizes(handle));
  }

  private static long[] numbers(long handle, long address) {
    int rank = (int) ask(TORCH.functions.dim(), "aoti_torch_get_dim", handle);
    long[] numbers = new long[rank];
    for (int dim = 0; dim < rank; dim++) {
      numbers[dim] = Memory.getLong(address + 8L * dim);
    }
    return numbers;
  }

  private static final ThreadLocal<MemorySegment> CELL =
      ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(ValueLayout.JAVA_LONG));

  /** Calls a getter that writes at most eight bytes; those it does not write are zero. */
  private static long ask(MethodHandle getter, String name, long handle) {
    MemorySegment cell = CELL.get();
    cell.set(ValueLayout.JAVA_LONG, 0, 0);
    try {
      TORCH.check((int) getter.invokeExact(handle, cell.address()), name, "");
    } catch (Throwable e) {
      throw Torch.wrap(e);
    }
    return cell.get(ValueLayout.JAVA_LONG, 0);
  }
}
