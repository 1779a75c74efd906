package dev.weft.engine.library;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Objects;

/**
 * Writes one value that the dispatcher consumes into a cell of its stack. Between {@link #write}
 * and the call the value is ours, and {@link #undo} frees it.
 */
abstract sealed class StackValue {
  private static final Torch TORCH = Torch.instance();
  private static final Functions FUNCTIONS = TORCH.functions;

  abstract void write(long cell);

  void undo(long cell) {}

  static StackValue of(Arena arena, Argument argument) {
    return switch (argument) {
      case Argument.Tensor(TensorSource source) -> new Handle(source);
      case Argument.TensorList(List<TensorSource> sources) ->
          new Items(arena, sources.stream().<StackValue>map(Handle::new).toList());
      case Argument.Int(long value) -> new Bits(value);
      case Argument.Real(double value) -> new Bits(Double.doubleToRawLongBits(value));
      case Argument.Truth(boolean value) -> new Bits(value ? 1 : 0);
      case Argument.Type(var type) -> new Bits(TORCH.code(type));
      case Argument.Code(int value) -> new Bits(value);
      case Argument.Ints(List<Long> values) ->
          new Items(arena, values.stream().<StackValue>map(Bits::new).toList());
      case Argument.Truths(List<Boolean> values) ->
          new Items(arena, values.stream().<StackValue>map(v -> new Bits(v ? 1 : 0)).toList());
      case Argument.Text(String value) -> new Words(arena, value);
      case Argument.Some(Argument value) -> new Present(of(arena, value));
      case Argument.None _, Argument.NoneList _ -> new Bits(0);
    };
  }

  private static void check(int code, String function) {
    TORCH.check(code, function, "");
  }

  static final class Bits extends StackValue {
    final long bits;

    Bits(long bits) {
      this.bits = bits;
    }

    @Override
    void write(long cell) {
      Memory.putLong(cell, bits);
    }
  }

  static final class Handle extends StackValue {
    private final TensorSource source;

    Handle(TensorSource source) {
      this.source = source;
    }

    @Override
    void write(long cell) {
      try {
        check(
            (int) FUNCTIONS.newTensorHandle().invokeExact(source.address(), cell),
            "aoti_torch_new_tensor_handle");
      } catch (Throwable e) {
        throw Torch.wrap(e);
      }
    }

    @Override
    void undo(long cell) {
      Tensors.delete(Memory.getLong(cell));
    }
  }

  static final class Items extends StackValue {
    private final StackValue[] items;
    private final long scratch;

    Items(Arena arena, List<StackValue> items) {
      this.items = items.toArray(StackValue[]::new);
      this.scratch = arena.allocate(ValueLayout.JAVA_LONG).address();
    }

    @Override
    void write(long cell) {
      int added = 0;
      try {
        check(
            (int) FUNCTIONS.newList().invokeExact((long) items.length, cell),
            "torch_new_list_reserve_size");
        for (; added < items.length; added++) {
          items[added].write(scratch);
          check(
              (int) FUNCTIONS.listAdd().invokeExact(Memory.getLong(cell), Memory.getLong(scratch)),
              "torch_list_push_back");
        }
      } catch (Throwable e) {
        undo(cell, added);
        throw Torch.wrap(e);
      }
    }

    @Override
    void undo(long cell) {
      undo(cell, items.length);
    }

    private void undo(long cell, int added) {
      long list = Memory.getLong(cell);
      try {
        for (int i = 0; i < added; i++) {
          check(
              (int) FUNCTIONS.listGet().invokeExact(list, (long) i, scratch),
              "torch_list_get_item");
          items[i].undo(scratch);
        }
        check((int) FUNCTIONS.deleteList().invokeExact(list), "torch_delete_list");
      } catch (Throwable e) {
        throw Torch.wrap(e);
      }
    }
  }

  static final class Words extends StackValue {
    private final long address;
    private final long length;

    Words(Arena arena, String text) {
      MemorySegment segment = arena.allocateFrom(text);
      this.address = segment.address();
      this.length = segment.byteSize() - 1;
    }

    @Override
    void write(long cell) {
      try {
        check(
            (int) FUNCTIONS.newString().invokeExact(address, length, cell),
            "torch_new_string_handle");
      } catch (Throwable e) {
        throw Torch.wrap(e);
      }
    }

    @Override
    void undo(long cell) {
      try {
        check(
            (int) FUNCTIONS.deleteString().invokeExact(Memory.getLong(cell)),
            "torch_delete_string");
      } catch (Throwable e) {
        throw Torch.wrap(e);
      }
    }
  }

  static final class Present extends StackValue {
    private static final boolean BY_LIBRARY = FUNCTIONS.newOptional() != null;

    private final StackValue value;

    Present(StackValue value) {
      this.value = value;
    }

    @Override
    void write(long cell) {
      box(cell);
      long inner = Memory.getLong(cell);
      try {
        value.write(inner);
      } catch (Throwable e) {
        unbox(inner);
        throw Torch.wrap(e);
      }
    }

    @Override
    void undo(long cell) {
      long inner = Memory.getLong(cell);
      value.undo(inner);
      unbox(inner);
    }

    private static void box(long cell) {
      try {
        if (BY_LIBRARY) {
          MethodHandle create = Objects.requireNonNull(FUNCTIONS.newOptional());
          check((int) create.invokeExact(cell), "torch_new_stable_ivalue");
        } else {
          Memory.putLong(cell, (long) CHeap.ALLOCATE.invokeExact(8L));
        }
      } catch (Throwable e) {
        throw Torch.wrap(e);
      }
    }

    private static void unbox(long inner) {
      try {
        if (BY_LIBRARY) {
          MethodHandle delete = Objects.requireNonNull(FUNCTIONS.deleteOptional());
          check((int) delete.invokeExact(inner), "torch_delete_stable_ivalue");
        } else {
          CHeap.FREE.invokeExact(inner);
        }
      } catch (Throwable e) {
        throw Torch.wrap(e);
      }
    }
  }
}
