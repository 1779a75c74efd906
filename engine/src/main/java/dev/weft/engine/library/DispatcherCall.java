package dev.weft.engine.library;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/** A call through the dispatcher: a stack of cells, one per argument, that it consumes. */
final class DispatcherCall extends PreparedCall {
  private static final Torch TORCH = Torch.instance();
  private static final Functions FUNCTIONS = TORCH.functions;

  private final Result[] results;
  private final StackValue[] owned;
  private final long[] ownedCells;

  // One block: the stack, then what it looks like before a call, then the two names.
  private final MemorySegment block;
  private final long stack;
  private final long template;
  private final long argumentBytes;
  private final long name;
  private final long overload;

  DispatcherCall(
      Arena arena,
      String operator,
      String overload,
      List<Argument> arguments,
      List<Result> results) {
    super(overload.isEmpty() ? operator : operator + "." + overload, arguments);
    this.results = results.toArray(Result[]::new);
    int cells = Math.max(1, Math.max(arguments.size(), results.size()));
    argumentBytes = 8L * arguments.size();
    block = arena.allocate(16L * cells, 64);
    stack = block.address();
    template = stack + 8L * cells;
    name = arena.allocateFrom(operator).address();
    this.overload = arena.allocateFrom(overload).address();
    List<StackValue> values = new ArrayList<>();
    List<Long> places = new ArrayList<>();
    for (int i = 0; i < arguments.size(); i++) {
      StackValue value = StackValue.of(arena, arguments.get(i));
      if (value instanceof StackValue.Bits constant) {
        block.set(ValueLayout.JAVA_LONG, template - stack + 8L * i, constant.bits);
      } else {
        values.add(value);
        places.add(stack + 8L * i);
      }
    }
    owned = values.toArray(StackValue[]::new);
    ownedCells = places.stream().mapToLong(Long::longValue).toArray();
  }

  @Override
  public void invoke() {
    if (!block.scope().isAlive()) {
      throw new IllegalStateException(this + " called after its program was closed");
    }
    Memory.copy(template, stack, argumentBytes);
    int written = 0;
    try {
      for (; written < owned.length; written++) {
        owned[written].write(ownedCells[written]);
      }
    } catch (RuntimeException e) {
      while (--written >= 0) {
        owned[written].undo(ownedCells[written]);
      }
      throw e;
    }
    int code;
    try {
      code = (int) FUNCTIONS.callDispatcher().invokeExact(name, overload, stack, TORCH.abi);
    } catch (Throwable e) {
      throw Torch.wrap(e);
    }
    if (code != 0) {
      throw failure(TORCH);
    }
    for (int i = 0; i < results.length; i++) {
      settle(results[i], i);
    }
  }

  /** Settles one result; if a slot refuses it, the results after it are deleted. */
  private void settle(Result result, int index) {
    try {
      settle(result, Memory.getLong(stack + 8L * index));
    } catch (RuntimeException e) {
      for (int rest = index + 1; rest < results.length; rest++) {
        Tensors.delete(Memory.getLong(stack + 8L * rest));
      }
      throw e;
    }
  }

  @Override
  void setBits(int argument, long bits) {
    block.set(ValueLayout.JAVA_LONG, template - stack + 8L * argument, bits);
  }
}
