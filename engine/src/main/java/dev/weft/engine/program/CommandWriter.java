package dev.weft.engine.program;

import dev.weft.core.collective.Collective;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.Slice;
import dev.weft.engine.kernel.KernelArgument;
import dev.weft.engine.kernel.KernelCall;
import dev.weft.engine.kernel.TensorExpression;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Writes the commands of placed items: kernels' texts with operands put in. */
final class CommandWriter {
  /** Rows of ones pay off for as long as they stay in a cache. */
  private static final long LONGEST_ROW = 1 << 16;

  private static final long SHORTEST_ROW = 64;
  static final double SMALL_BYTES = 1 << 20;
  private static final double SMALL_FLOPS = 2e6;

  private final Placement placement;
  private final Map<Buffer, Literal> constants;
  private final Map<Literal, Buffer> numbers = new HashMap<>();
  private final Map<String, KernelCall> calls = new HashMap<>();
  private final List<Command> commands = new ArrayList<>();
  private final Set<Buffer> buffers = new LinkedHashSet<>();

  // Of the item being written, which write() sets:
  @SuppressWarnings("NullAway.Init")
  private Item item;

  private int position;
  private Map<Integer, Operand> temporaries = new HashMap<>();
  private Map<Integer, Operand> replacedInputs = new HashMap<>();
  private Map<Integer, Operand> replacedOutputs = new HashMap<>();

  /** Collectives that have begun, by the position before which they must end. */
  private final Map<Integer, List<Command.Await>> pending = new HashMap<>();

  CommandWriter(Placement placement, Map<Buffer, Literal> constants) {
    this.placement = placement;
    this.constants = constants;
  }

  List<Command> write() {
    for (position = 0; position < placement.items().size(); position++) {
      item = placement.items().get(position);
      temporaries = new HashMap<>();
      replacedInputs = new HashMap<>();
      replacedOutputs = new HashMap<>();
      awaitPending();
      writeItem();
    }
    awaitPending();
    placement.finalCopies().forEach(this::emit);
    return commands;
  }

  /** All buffers that some command uses. */
  Set<Buffer> buffers() {
    return buffers;
  }

  private void awaitPending() {
    List<Command.Await> due = pending.remove(position);
    if (due != null) {
      due.forEach(this::emit);
    }
  }

  private void writeCollective(Collective collective) {
    int number = placement.number(item);
    int end = placement.end(position);
    List<Operand> targets = item.outputs().stream().map(Flat::operand).toList();
    var sources = new ArrayList<Operand>();
    for (Flat input : item.inputs()) {
      Operand given = input.operand();
      Operand source = dense(given);
      if (source != given) {
        source.buffer().live(end - 1);
      }
      sources.add(source);
    }
    emit(new Command.Begin(item.name(), number, collective, targets, sources));
    pending
        .computeIfAbsent(end, _ -> new ArrayList<>())
        .add(new Command.Await(item.name(), number, targets));
  }

  private void writeItem() {
    if (item.op() instanceof Collective collective) {
      writeCollective(collective);
      return;
    }
    Optional<? extends Command> looped = looped();
    if (looped.isPresent()) {
      emit(looped.get());
      return;
    }
    Kernel kernel = item.kernel();
    for (Kernel.Pair pair : kernel.mutates()) {
      Operand target = item.outputs().get(pair.output()).operand();
      Operand source = item.inputs().get(pair.input()).operand();
      if (!target.same(source)) {
        emit(new Command.Copy(item.name(), target, source));
      }
      replacedInputs.put(pair.input(), target);
    }
    for (int input : kernel.clobbers()) {
      if (!placement.mayClobber(item.inputs().get(input), position)) {
        Operand source = item.inputs().get(input).operand();
        Operand copy = temporary(source.dtype(), source.shape());
        emit(new Command.Copy(item.name(), copy, source));
        replacedInputs.put(input, copy);
      }
    }
    if (item.route() == Route.WIDE) {
      widen();
    }
    for (String text : kernel.calls()) {
      writeCall(calls.computeIfAbsent(text, KernelCall::parse), kernel.serialBlas());
    }
    replacedOutputs.forEach(
        (index, wide) ->
            emit(new Command.Copy(item.name(), item.outputs().get(index).operand(), wide)));
  }

  /** The item as a loop of Weft's own, where that is its route and its operands allow it. */
  private Optional<? extends Command> looped() {
    if (item.route() != Route.LOOP) {
      return Optional.empty();
    }
    return item.op() instanceof Gelu ? GeluRow.looped(item) : RowProduct.looped(item);
  }

  /** Has the kernel read and write f32 in place of narrower numbers. */
  private void widen() {
    for (int i = 0; i < item.inputs().size(); i++) {
      Operand source = item.inputs().get(i).operand();
      if (Route.isNarrow(source.dtype())) {
        Operand wide = temporary(DataType.F32, source.layout().packed());
        emit(new Command.Copy(item.name(), wide, source));
        replacedInputs.put(i, wide);
      }
    }
    for (int i = 0; i < item.outputs().size(); i++) {
      Operand target = item.outputs().get(i).operand();
      if (Route.isNarrow(target.dtype())) {
        replacedOutputs.put(i, temporary(DataType.F32, Strided.dense(target.shape())));
      }
    }
    Flat base = item.base();
    if (base != null && replacedOutputs.get(0) instanceof Operand sum) {
      emit(new Command.Copy(item.name(), sum, base.operand()));
    }
  }

  private void writeCall(KernelCall call, boolean serialBlas) {
    if (call.target() == KernelCall.Target.WEFT) {
      writeRoutine(call);
      return;
    }
    List<Command.Slot> slots = call.arguments().stream().map(this::slot).toList();
    List<Optional<Operand>> results =
        call.results().stream().map(r -> r.<Operand>map(this::operand)).toList();
    emit(
        new Command.Library(
            item.name(),
            call.target() == KernelCall.Target.SHIM,
            call.name(),
            call.overload(),
            slots,
            results,
            serialBlas,
            isSmall()));
  }

  /**
   * Whether one thread is done before a second would be awake. By measurement that takes some 50
   * microseconds; a thread reads 10 GB/s and computes 20 GFLOP/s of small products.
   */
  private boolean isSmall() {
    Cost cost = item.op().cost(item.inputs().stream().map(flat -> flat.type).toList());
    return cost.bytes() < SMALL_BYTES && cost.flops() < SMALL_FLOPS;
  }

  private void writeRoutine(KernelCall call) {
    String origin = item.name();
    emit(
        switch (call.name()) {
          case "add" -> {
            Operand target = tensor(call, 0);
            Operand left = tensor(call, 1);
            Operand right = tensor(call, 2);
            yield new Command.Add(origin, target, left, right, ones(target, left, right));
          }
          case "subtract" -> {
            Operand target = tensor(call, 0);
            Operand left = tensor(call, 1);
            Operand right = tensor(call, 2);
            yield new Command.Subtract(origin, target, left, right, ones(target, left, right));
          }
          case "copy" -> new Command.Copy(origin, tensor(call, 0), tensor(call, 1));
          case "layer_norm" ->
              new Command.LayerNorm(
                  origin,
                  List.of(tensor(call, 0), tensor(call, 1), tensor(call, 2)),
                  dense(tensor(call, 3)),
                  dense(tensor(call, 4)),
                  dense(tensor(call, 5)),
                  real(call, 6));
          case "cached_attention" ->
              new Command.CachedAttention(
                  origin,
                  tensor(call, 0),
                  rows(tensor(call, 1)),
                  rows(tensor(call, 2)),
                  rows(tensor(call, 3)),
                  tensor(call, 4),
                  real(call, 5));
          case "fill" -> new Command.Fill(origin, tensor(call, 0), real(call, 1));
          case "random_bits" ->
              new Command.RandomBits(
                  origin,
                  tensor(call, 0),
                  List.of(tensor(call, 1), tensor(call, 2), tensor(call, 3), tensor(call, 4)),
                  whole(call, 5));
          case "dynamic_slice" ->
              new Command.Dynamic(
                  origin,
                  false,
                  dense(tensor(call, 1)),
                  tensor(call, 0),
                  tensor(call, 2),
                  (int) whole(call, 3));
          case "dynamic_update_slice" ->
              new Command.Dynamic(
                  origin,
                  true,
                  tensor(call, 0),
                  run(tensor(call, 1), (int) whole(call, 3)),
                  tensor(call, 2),
                  (int) whole(call, 3));
          default ->
              throw new IllegalArgumentException(
                  "the engine has no routine " + call.name() + ", asked for by " + origin);
        });
  }

  private Operand tensor(KernelCall call, int index) {
    if (call.arguments().get(index) instanceof KernelArgument.Tensor(TensorExpression tensor)) {
      return operand(tensor);
    }
    throw new IllegalArgumentException(
        "argument " + index + " of " + call.name() + " is no tensor");
  }

  private static long whole(KernelCall call, int index) {
    return ((KernelArgument.Whole) call.arguments().get(index)).value();
  }

  private static double real(KernelCall call, int index) {
    return switch (call.arguments().get(index)) {
      case KernelArgument.Whole(long value) -> value;
      case KernelArgument.Real(double value) -> value;
      default -> throw new IllegalArgumentException(call.name() + " needs a number");
    };
  }

  private Command.Slot slot(KernelArgument argument) {
    return switch (argument) {
      case KernelArgument.Tensor(TensorExpression tensor) ->
          new Command.Slot.Tensor(operand(tensor));
      case KernelArgument.Tensors(List<TensorExpression> tensors) ->
          new Command.Slot.Tensors(tensors.stream().map(this::operand).toList());
      case KernelArgument.Given(KernelArgument inner) -> new Command.Slot.Given(slot(inner));
      default -> new Command.Slot.Plain(argument);
    };
  }

  private Operand operand(TensorExpression expression) {
    return switch (expression) {
      case TensorExpression.Name name -> named(name);
      case TensorExpression.View(TensorExpression inner, List<Long> sizes) -> {
        Operand operand = operand(inner);
        Shape shape = Shape.of(sizes.stream().mapToLong(Long::longValue).toArray());
        Optional<Strided> view = operand.layout().reshape(shape);
        yield view.map(operand::with)
            .orElseGet(
                () -> {
                  Operand copy = dense(operand);
                  return copy.with(copy.layout().reshape(shape).orElseThrow());
                });
      }
      case TensorExpression.Part(
              TensorExpression inner,
              List<Long> starts,
              List<Long> limits,
              List<Long> strides) -> {
        Operand operand = operand(inner);
        yield operand.with(new Slice(starts, limits, strides).view(operand.layout()).orElseThrow());
      }
      case TensorExpression.Transposed(TensorExpression inner) -> {
        Operand operand = operand(inner);
        Strided layout = operand.layout();
        int rank = layout.shape().rank();
        long[] sizes = layout.shape().sizes();
        long[] steps = layout.strides().clone();
        swap(sizes, rank - 1, rank - 2);
        swap(steps, rank - 1, rank - 2);
        yield operand.with(new Strided(Shape.of(sizes), steps, layout.offset()));
      }
      case TensorExpression.Contiguous(TensorExpression inner) -> dense(operand(inner));
      case TensorExpression.Number(double value, DataType dtype) -> number(value, dtype);
    };
  }

  private static void swap(long[] values, int a, int b) {
    long kept = values[a];
    values[a] = values[b];
    values[b] = kept;
  }

  private Operand named(TensorExpression.Name name) {
    return switch (name.kind()) {
      case INPUT -> {
        Operand replaced = replacedInputs.get(name.index());
        yield replaced != null ? replaced : item.inputs().get(name.index()).operand();
      }
      case OUTPUT -> {
        Operand replaced = replacedOutputs.get(name.index());
        yield replaced != null ? replaced : item.outputs().get(name.index()).operand();
      }
      case BASE -> {
        Operand replaced = replacedOutputs.get(0);
        yield replaced != null ? replaced : Objects.requireNonNull(item.base()).operand();
      }
      case TEMPORARY ->
          temporaries.computeIfAbsent(
              name.index(),
              _ -> {
                @Nullable TensorType type = name.type();
                if (type == null) {
                  throw new IllegalArgumentException(
                      "temporary t" + name.index() + " of " + item.name() + " has no type");
                }
                return temporary(type.dtype(), type.shape());
              });
    };
  }

  private Operand number(double value, DataType dtype) {
    return constant("number " + value, Literal.scalar(dtype, value));
  }

  /**
   * A row of ones, if one of two tensors repeats a number along each row: the library multiplies
   * and adds many numbers at a time where at most one of its operands does so, and a lone one would
   * be another.
   */
  private @Nullable Operand ones(Operand target, Operand left, Operand right) {
    int rank = target.shape().rank();
    long row = rank == 0 ? 0 : target.shape().size(rank - 1);
    if (row < SHORTEST_ROW || row > LONGEST_ROW || !(repeats(left) || repeats(right))) {
      return null;
    }
    TensorType type = TensorType.of(target.dtype(), row);
    return constant("a row of ones", Literal.filled(type, 1));
  }

  private static boolean repeats(Operand operand) {
    long[] strides = operand.layout().strides();
    return strides.length > 0 && strides[strides.length - 1] == 0;
  }

  private Operand constant(String name, Literal literal) {
    Buffer buffer =
        numbers.computeIfAbsent(
            literal,
            l -> {
              Buffer made = new Buffer(name, l.type().bytes(), null);
              constants.put(made, l);
              return made;
            });
    return Operand.dense(buffer, literal.type().dtype(), literal.type().shape());
  }

  /** The same numbers row-major without gaps, copied if they are not. */
  private Operand dense(Operand operand) {
    if (operand.layout().isContiguous()) {
      return operand;
    }
    Operand copy = temporary(operand.dtype(), operand.shape());
    emit(new Command.Copy(item.name(), copy, operand));
    return copy;
  }

  /** The same numbers, copied if those of the last dim are not one behind the other. */
  private Operand rows(Operand operand) {
    long[] strides = operand.layout().strides();
    return strides[strides.length - 1] == 1 ? operand : dense(operand);
  }

  /** The same numbers, copied if a run of indices of a dim has gaps. */
  private Operand run(Operand operand, int dim) {
    return DynamicCopy.takes(operand, dim) ? operand : dense(operand);
  }

  private Operand temporary(DataType dtype, Shape shape) {
    return temporary(dtype, Strided.dense(shape));
  }

  private Operand temporary(DataType dtype, Strided layout) {
    Buffer buffer =
        new Buffer("temporary of " + item.name(), layout.shape().elements() * dtype.bytes(), null);
    buffer.live(position);
    return new Operand(buffer, dtype, layout);
  }

  private void emit(Command command) {
    operands(command).forEach(o -> buffers.add(o.buffer()));
    commands.add(command);
  }

  static List<Operand> operands(Command command) {
    return switch (command) {
      case Command.Library library -> {
        var all = new ArrayList<Operand>();
        library.arguments().forEach(slot -> collect(slot, all));
        library.results().forEach(r -> r.ifPresent(all::add));
        yield all;
      }
      case Command.Copy copy -> List.of(copy.target(), copy.source());
      case Command.Add add -> with(add.ones(), add.target(), add.left(), add.right());
      case Command.Subtract subtract ->
          with(subtract.ones(), subtract.target(), subtract.left(), subtract.right());
      case Command.LayerNorm norm -> {
        var all = new ArrayList<>(norm.results());
        all.addAll(List.of(norm.row(), norm.scale(), norm.shift()));
        yield all;
      }
      case Command.RowProduct product ->
          with(product.base(), product.target(), product.row(), product.matrix());
      case Command.CachedAttention attention ->
          List.of(
              attention.target(),
              attention.query(),
              attention.keys(),
              attention.values(),
              attention.position());
      case Command.GeluRow gelu -> List.of(gelu.target(), gelu.source());
      case Command.Fill fill -> List.of(fill.target());
      case Command.Begin begin -> {
        var all = new ArrayList<>(begin.targets());
        all.addAll(begin.sources());
        yield all;
      }
      case Command.Await await -> await.targets();
      case Command.RandomBits bits -> {
        var all = new ArrayList<>(bits.key());
        all.add(bits.target());
        yield all;
      }
      case Command.Dynamic dynamic -> List.of(dynamic.whole(), dynamic.part(), dynamic.index());
    };
  }

  private static List<Operand> with(@Nullable Operand more, Operand... operands) {
    var all = new ArrayList<>(List.of(operands));
    if (more != null) {
      all.add(more);
    }
    return all;
  }

  private static void collect(Command.Slot slot, List<Operand> all) {
    switch (slot) {
      case Command.Slot.Tensor(Operand operand) -> all.add(operand);
      case Command.Slot.Tensors(List<Operand> operands) -> all.addAll(operands);
      case Command.Slot.Given(Command.Slot inner) -> collect(inner, all);
      case Command.Slot.Plain _ -> {}
    }
  }
}
