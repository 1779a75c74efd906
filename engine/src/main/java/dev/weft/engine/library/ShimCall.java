package dev.weft.engine.library;

import dev.weft.core.cluster.DeviceKind;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.ArrayList;
import java.util.List;

/** A call of a kernel's direct function: arguments by value, results through pointers. */
final class ShimCall extends PreparedCall {
  private static final Torch TORCH = Torch.instance();

  private final Result[] results;
  private final MethodHandle handle;
  private final long[] values;
  private final int[] positions;

  // Tensors read anew at each call: those passed by value, and those passed in a cell.
  private final TensorSource[] direct;
  private final int[] directPositions;
  private final TensorSource[] indirect;
  private final long[] indirectCells;

  private final MemorySegment resultCells;

  ShimCall(
      Arena arena, DeviceKind kind, String name, List<Argument> arguments, List<Result> results) {
    this(
        arena,
        TORCH
            .shim(kind, name)
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "libtorch %s has no function %s for %s"
                            .formatted(TORCH.version(), name, kind.text()))),
        arguments,
        results);
  }

  private ShimCall(Arena arena, String symbol, List<Argument> arguments, List<Result> results) {
    super(symbol, arguments);
    this.results = results.toArray(Result[]::new);
    Layout layout = new Layout(arena);
    positions = new int[arguments.size()];
    for (int i = 0; i < positions.length; i++) {
      positions[i] = layout.values.size();
      layout.add(arguments.get(i));
    }
    resultCells = arena.allocate(Math.max(8, 8L * results.size()), 8);
    for (int i = 0; i < results.size(); i++) {
      layout.word(resultCells.address() + 8L * i);
    }
    values = layout.values.stream().mapToLong(Long::longValue).toArray();
    direct = layout.direct.toArray(TensorSource[]::new);
    directPositions = layout.directPositions.stream().mapToInt(Integer::intValue).toArray();
    indirect = layout.indirect.toArray(TensorSource[]::new);
    indirectCells = layout.indirectCells.stream().mapToLong(Long::longValue).toArray();
    handle = link(symbol, layout.types);
  }

  /**
   * A handle that takes the arguments as one array: integers as they are, doubles by their bits.
   */
  private static MethodHandle link(String symbol, List<MemoryLayout> types) {
    FunctionDescriptor descriptor =
        FunctionDescriptor.of(ValueLayout.JAVA_INT, types.toArray(MemoryLayout[]::new));
    MethodHandle target = TORCH.link(new Prototype(symbol, descriptor)).orElseThrow();
    try {
      MethodHandle toDouble =
          MethodHandles.lookup()
              .findStatic(
                  Double.class,
                  "longBitsToDouble",
                  MethodType.methodType(double.class, long.class));
      for (int i = 0; i < types.size(); i++) {
        if (types.get(i) == ValueLayout.JAVA_DOUBLE) {
          target = MethodHandles.filterArguments(target, i, toDouble);
        }
      }
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
    Class<?>[] longs = new Class<?>[types.size()];
    java.util.Arrays.fill(longs, long.class);
    return MethodHandles.explicitCastArguments(target, MethodType.methodType(int.class, longs))
        .asSpreader(long[].class, longs.length);
  }

  @Override
  public void invoke() {
    if (!resultCells.scope().isAlive()) {
      throw new IllegalStateException(this + " called after its program was closed");
    }
    for (int i = 0; i < direct.length; i++) {
      values[directPositions[i]] = direct[i].address();
    }
    for (int i = 0; i < indirect.length; i++) {
      Memory.putLong(indirectCells[i], indirect[i].address());
    }
    int code;
    try {
      code = (int) handle.invokeExact(values);
    } catch (Throwable e) {
      throw Torch.wrap(e);
    }
    if (code != 0) {
      throw failure(TORCH);
    }
    for (int i = 0; i < results.length; i++) {
      settle(i);
    }
  }

  private void settle(int index) {
    try {
      settle(results[index], resultCells.getAtIndex(ValueLayout.JAVA_LONG, index));
    } catch (RuntimeException e) {
      for (int rest = index + 1; rest < results.length; rest++) {
        Tensors.delete(resultCells.getAtIndex(ValueLayout.JAVA_LONG, rest));
      }
      throw e;
    }
  }

  @Override
  void setBits(int argument, long bits) {
    values[positions[argument]] = bits;
  }

  /** The C arguments in the making. */
  private static final class Layout {
    private final Arena arena;
    private final List<MemoryLayout> types = new ArrayList<>();
    private final List<Long> values = new ArrayList<>();
    private final List<TensorSource> direct = new ArrayList<>();
    private final List<Integer> directPositions = new ArrayList<>();
    private final List<TensorSource> indirect = new ArrayList<>();
    private final List<Long> indirectCells = new ArrayList<>();

    Layout(Arena arena) {
      this.arena = arena;
    }

    private void value(MemoryLayout type, long bits) {
      types.add(type);
      values.add(bits);
    }

    void word(long bits) {
      value(ValueLayout.JAVA_LONG, bits);
    }

    private void code(int bits) {
      value(ValueLayout.JAVA_INT, bits);
    }

    void add(Argument argument) {
      switch (argument) {
        case Argument.Tensor(TensorSource source) -> {
          direct.add(source);
          directPositions.add(values.size());
          word(0);
        }
        case Argument.TensorList(List<TensorSource> sources) -> {
          MemorySegment cells = arena.allocate(Math.max(8, 8L * sources.size()), 8);
          for (int i = 0; i < sources.size(); i++) {
            indirect.add(sources.get(i));
            indirectCells.add(cells.address() + 8L * i);
          }
          word(cells.address());
          word(sources.size());
        }
        case Argument.Int(long value) -> word(value);
        case Argument.Real(double value) ->
            value(ValueLayout.JAVA_DOUBLE, Double.doubleToRawLongBits(value));
        case Argument.Truth(boolean value) -> code(value ? 1 : 0);
        case Argument.Type(var type) -> code(TORCH.code(type));
        case Argument.Code(int value) -> code(value);
        case Argument.Ints(List<Long> numbers) -> {
          word(longs(numbers));
          word(numbers.size());
        }
        case Argument.Truths(List<Boolean> truths) -> {
          int[] numbers = truths.stream().mapToInt(truth -> truth ? 1 : 0).toArray();
          word(arena.allocateFrom(ValueLayout.JAVA_INT, numbers).address());
          word(numbers.length);
        }
        case Argument.Text(String text) -> word(arena.allocateFrom(text).address());
        case Argument.None _ -> word(0);
        case Argument.NoneList _ -> {
          word(0);
          word(0);
        }
        case Argument.Some(Argument inner) -> some(inner);
      }
    }

    /** An optional argument that is there goes by pointer. */
    private void some(Argument inner) {
      MemorySegment cell = arena.allocate(8, 8);
      switch (inner) {
        case Argument.Tensor(TensorSource source) -> {
          indirect.add(source);
          indirectCells.add(cell.address());
        }
        case Argument.Int(long value) -> cell.set(ValueLayout.JAVA_LONG, 0, value);
        case Argument.Real(double value) -> cell.set(ValueLayout.JAVA_DOUBLE, 0, value);
        case Argument.Truth(boolean value) -> cell.set(ValueLayout.JAVA_INT, 0, value ? 1 : 0);
        case Argument.Type(var type) -> cell.set(ValueLayout.JAVA_INT, 0, TORCH.code(type));
        case Argument.Code(int value) -> cell.set(ValueLayout.JAVA_INT, 0, value);
        case Argument.Text(String text) ->
            cell.set(ValueLayout.JAVA_LONG, 0, arena.allocateFrom(text).address());
        case Argument.Ints(List<Long> numbers) -> {
          cell.set(ValueLayout.JAVA_LONG, 0, longs(numbers));
          word(cell.address());
          word(numbers.size());
          return;
        }
        case Argument.TensorList _,
            Argument.Truths _,
            Argument.None _,
            Argument.NoneList _,
            Argument.Some _ ->
            throw new IllegalArgumentException("no direct function takes an optional " + inner);
      }
      word(cell.address());
    }

    private long longs(List<Long> numbers) {
      return numbers.isEmpty()
          ? 0
          : arena
              .allocateFrom(
                  ValueLayout.JAVA_LONG, numbers.stream().mapToLong(Long::longValue).toArray())
              .address();
    }
  }
}
