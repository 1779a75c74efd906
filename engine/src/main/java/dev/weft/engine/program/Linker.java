package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Philox;
import dev.weft.engine.buffer.DeviceMemory;
import dev.weft.engine.collective.Collectives;
import dev.weft.engine.device.Crew;
import dev.weft.engine.device.Device;
import dev.weft.engine.kernel.KernelArgument;
import dev.weft.engine.library.Argument;
import dev.weft.engine.library.PreparedCall;
import dev.weft.engine.library.Result;
import dev.weft.engine.library.TensorHandle;
import dev.weft.engine.library.TensorSlot;
import dev.weft.engine.library.TensorSource;
import dev.weft.engine.library.Torch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/** Binds commands to addresses: makes the tensor handles and prepared calls of a program. */
final class Linker {
  /** How many random numbers are made before they are copied out of Java's heap. */
  private static final int RANDOM_CHUNK = 1 << 12;

  private record View(long address, DataType dtype, Strided layout) {}

  private final DeviceKind kind;
  private final DeviceMemory memory;
  private final Arena arena;
  private final long scratch;
  private final Map<Buffer, Long> constants;
  private final ToLongFunction<Place> places;
  private final Map<View, TensorHandle> handles = new HashMap<>();
  private final List<TensorSlot> slots = new ArrayList<>();
  private final Map<Literal, MemorySegment> numbers = new HashMap<>();
  private final Map<Integer, Collectives.Exchange> exchanges = new HashMap<>();
  private final Collectives collectives;
  private final int threads;
  private final Device device;

  private @Nullable LoopSteps loops;

  /** How many threads the commands linked so far leave set; 0 where that is not known. */
  private int current;

  Linker(
      Device device,
      Collectives collectives,
      Arena arena,
      long scratch,
      Map<Buffer, Long> constants,
      ToLongFunction<Place> places) {
    this.kind = device.kind();
    this.memory = device.memory();
    this.threads = device.threads();
    this.device = device;
    this.collectives = collectives;
    this.arena = arena;
    this.scratch = scratch;
    this.constants = constants;
    this.places = places;
  }

  /** Handles to be closed when the program is unlinked. */
  List<TensorHandle> handles() {
    return List.copyOf(handles.values());
  }

  List<TensorSlot> slots() {
    return slots;
  }

  Step link(Command command) {
    Step step = bind(command);
    int wanted = threads(command);
    if (wanted == current) {
      return step;
    }
    current = wanted;
    Torch torch = Torch.instance();
    return () -> {
      torch.changeThreads(wanted);
      step.run();
    };
  }

  private int threads(Command command) {
    return switch (command) {
      case Command.Begin _,
          Command.Await _,
          Command.RowProduct _,
          Command.CachedAttention _,
          Command.GeluRow _ ->
          current;
      case Command.Library library ->
          library.small() || RowProduct.isOne(library, kind, threads) ? 1 : threads;
      default ->
          CommandWriter.operands(command).stream()
                      .mapToLong(o -> o.shape().elements() * o.dtype().bytes())
                      .sum()
                  < CommandWriter.SMALL_BYTES
              ? 1
              : threads;
    };
  }

  private Step bind(Command command) {
    return switch (command) {
      case Command.Library library ->
          RowProduct.isOne(library, kind, threads) ? rowProduct(library) : library(library);
      case Command.Copy copy -> copy(copy.target(), copy.source());
      case Command.Add add -> add(add);
      case Command.Subtract subtract -> subtract(subtract);
      case Command.LayerNorm norm -> SmallRow.layerNorm(norm, this::row);
      case Command.RowProduct product -> loops().product(product);
      case Command.CachedAttention attention -> loops().attention(attention);
      case Command.GeluRow gelu -> loops().gelu(gelu);
      case Command.Fill fill ->
          dispatch(
              "aten::fill_",
              "Tensor",
              tensor(fill.target()),
              scalar(fill.target().dtype(), fill.value()));
      case Command.RandomBits bits -> randomBits(bits);
      case Command.Dynamic dynamic -> dynamic(dynamic);
      case Command.Begin begin -> begin(begin);
      case Command.Await await -> exchange(await.number())::await;
    };
  }

  private LoopSteps loops() {
    if (loops == null) {
      loops = new LoopSteps(device.crew(), threads, arena, this::address);
    }
    return loops;
  }

  private Step begin(Command.Begin begin) {
    List<TensorType> inputs =
        begin.sources().stream().map(o -> new TensorType(o.dtype(), o.shape())).toList();
    var call = new Collectives.Call(begin.number(), begin.origin(), begin.op(), inputs, kind);
    Collectives.Exchange exchange =
        collectives.prepare(
            call,
            begin.sources().stream().map(this::dense).toList(),
            begin.targets().stream().map(this::dense).toList());
    exchanges.put(begin.number(), exchange);
    return exchange::begin;
  }

  private Collectives.Exchange exchange(int number) {
    return Objects.requireNonNull(exchanges.get(number), "a collective ends that never began");
  }

  private MemorySegment dense(Operand operand) {
    if (!operand.layout().isContiguous()) {
      throw new IllegalStateException("a collective on memory with gaps: " + operand);
    }
    return segment(operand, operand.shape().elements() * operand.dtype().bytes());
  }

  private Step rowProduct(Command.Library product) {
    List<Runnable> parts = new ArrayList<>();
    for (Command.Library part : RowProduct.parts(product, threads)) {
      parts.add(library(part)::run);
    }
    Crew crew = device.crew();
    var job = new Crew.Job(parts);
    return () -> crew.run(job);
  }

  private Step library(Command.Library library) {
    List<Argument> arguments = library.arguments().stream().map(this::argument).toList();
    var results = new ArrayList<Result>();
    var copies = new ArrayList<Step>();
    for (Optional<Operand> target : library.results()) {
      if (target.isEmpty()) {
        results.add(Result.discard());
        continue;
      }
      var slot = new TensorSlot(library.origin(), memory);
      slots.add(slot);
      results.add(Result.keep(slot));
      PreparedCall copy =
          PreparedCall.dispatcher(
              arena,
              "aten::copy_",
              "",
              List.of(tensor(target.get()), new Argument.Tensor(slot), new Argument.Truth(false)),
              List.of(Result.discard()));
      copies.add(
          () -> {
            copy.invoke();
            slot.release();
          });
    }
    PreparedCall call;
    if (library.shim()) {
      call = PreparedCall.shim(arena, kind, library.name(), arguments, results);
    } else {
      int returned = results.isEmpty() ? returns(library) : 0;
      for (int i = 0; i < returned; i++) {
        results.add(Result.discard());
      }
      call =
          PreparedCall.dispatcher(
              arena, "aten::" + library.name(), library.overload(), arguments, results);
    }
    Step[] after = copies.toArray(Step[]::new);
    if (!library.serialBlas()) {
      return after.length == 0
          ? call::invoke
          : () -> {
            call.invoke();
            for (Step step : after) {
              step.run();
            }
          };
    }
    Torch torch = Torch.instance();
    return () -> {
      torch.setBlasThreads(1);
      try {
        call.invoke();
      } finally {
        torch.setBlasThreads(threads);
      }
      for (Step step : after) {
        step.run();
      }
    };
  }

  /** Out-variants return their outputs again; the fused optimizers return nothing. */
  private static int returns(Command.Library library) {
    return library.name().startsWith("_fused_") || library.name().startsWith("_foreach_") ? 0 : 1;
  }

  private Argument argument(Command.Slot slot) {
    return switch (slot) {
      case Command.Slot.Tensor(Operand operand) -> tensor(operand);
      case Command.Slot.Tensors(List<Operand> operands) ->
          new Argument.TensorList(operands.stream().<TensorSource>map(this::handle).toList());
      case Command.Slot.Given(Command.Slot inner) -> new Argument.Some(argument(inner));
      case Command.Slot.Plain(KernelArgument argument) -> plain(argument);
    };
  }

  private static Argument plain(KernelArgument argument) {
    return switch (argument) {
      case KernelArgument.Whole(long value) -> new Argument.Int(value);
      case KernelArgument.Real(double value) -> new Argument.Real(value);
      case KernelArgument.Truth(boolean value) -> new Argument.Truth(value);
      case KernelArgument.Longs(List<Long> values) -> new Argument.Ints(values);
      case KernelArgument.Truths(List<Boolean> values) -> new Argument.Truths(values);
      case KernelArgument.Text(String value) -> new Argument.Text(value);
      case KernelArgument.Type(DataType value) -> new Argument.Type(value);
      case KernelArgument.None _ -> new Argument.None();
      case KernelArgument.Tensor _, KernelArgument.Tensors _, KernelArgument.Given _ ->
          throw new IllegalStateException("a tensor that was not placed");
    };
  }

  private Step copy(Operand target, Operand source) {
    PreparedCall call =
        PreparedCall.dispatcher(
            arena,
            "aten::copy_",
            "",
            List.of(tensor(target), tensor(source), new Argument.Truth(false)),
            List.of(Result.discard()));
    return call::invoke;
  }

  /**
   * The library's own add takes a Scalar, which its C interface cannot pass: in place it is a fused
   * multiply-add; elsewhere, for dense operands, the sum over a view of both as two rows.
   */
  private Step add(Command.Add add) {
    Operand target = add.target();
    Operand left = add.left();
    Operand right = add.right();
    if (target.same(left)) {
      return addInPlace(target, right, 1, add.ones());
    }
    if (target.same(right)) {
      return addInPlace(target, left, 1, add.ones());
    }
    boolean dense =
        left.layout().isContiguous()
            && right.layout().isContiguous()
            && target.layout().isContiguous();
    long a = address(left);
    long b = address(right);
    int size = target.dtype().bytes();
    if (dense && a != b && (b - a) % size == 0) {
      long n = target.shape().elements();
      var rows =
          new View(
              Math.min(a, b),
              target.dtype(),
              new Strided(Shape.of(2, n), new long[] {Math.abs(b - a) / size, 1}, 0));
      var sum = new View(address(target), target.dtype(), Strided.dense(Shape.of(n)));
      return dispatch(
          "aten::sum",
          "IntList_out",
          new Argument.Tensor(handle(rows)),
          new Argument.Some(new Argument.Ints(0)),
          new Argument.Truth(false),
          new Argument.None(),
          new Argument.Tensor(handle(sum)));
    }
    Step first = copy(target, left);
    Step second = addInPlace(target, right, 1, add.ones());
    return () -> {
      first.run();
      second.run();
    };
  }

  private Step subtract(Command.Subtract subtract) {
    Operand target = subtract.target();
    Operand left = subtract.left();
    Operand right = subtract.right();
    if (target.same(left)) {
      return addInPlace(target, right, -1, subtract.ones());
    }
    if (target.same(right)) {
      Step negate = dispatch("aten::neg", "out", tensor(target), tensor(target));
      Step add = addInPlace(target, left, 1, subtract.ones());
      return () -> {
        negate.run();
        add.run();
      };
    }
    Step first = copy(target, left);
    Step second = addInPlace(target, right, -1, subtract.ones());
    return () -> {
      first.run();
      second.run();
    };
  }

  /** target += factor * addend. */
  private Step addInPlace(Operand target, Operand addend, int factor, @Nullable Operand ones) {
    DataType dtype = target.dtype();
    int count = (int) Math.min(SmallRow.LONGEST + 1, target.shape().elements());
    if (SmallRow.isFor(dtype, count)
        && addend.dtype() == dtype
        && target.layout().isContiguous()
        && addend.layout().isContiguous()) {
      return SmallRow.sum(row(target), row(addend), factor);
    }
    TensorHandle one =
        ones == null
            ? handle(new View(number(dtype, 1).address(), dtype, Strided.dense(Shape.SCALAR)))
            : handle(ones);
    MemorySegment scale = number(dtype, factor);
    PreparedCall call =
        PreparedCall.dispatcher(
            arena,
            "aten::_foreach_addcmul_",
            "Tensor",
            List.of(
                new Argument.TensorList(List.of(handle(target))),
                new Argument.TensorList(List.of(handle(addend))),
                new Argument.TensorList(List.of(one)),
                new Argument.Tensor(
                    handle(new View(scale.address(), dtype, Strided.dense(Shape.of(1)))))),
            List.of());
    return call::invoke;
  }

  private SmallRow row(Operand operand) {
    int count = Math.toIntExact(operand.shape().elements());
    return new SmallRow(
        segment(operand, (long) count * operand.dtype().bytes()), operand.dtype(), count);
  }

  private Step randomBits(Command.RandomBits bits) {
    if (!bits.target().layout().isContiguous()) {
      throw new IllegalStateException(bits.origin() + " into memory with gaps");
    }
    long elements = bits.target().shape().elements();
    MemorySegment target = segment(bits.target(), elements * 4);
    MemorySegment[] key = bits.key().stream().map(o -> segment(o, 8)).toArray(MemorySegment[]::new);
    Shape shape = bits.target().shape();
    long inner = shape.rank() == 0 ? 1 : shape.product(1, shape.rank());
    long site = bits.site();
    int[] chunk = new int[(int) Math.min(elements, RANDOM_CHUNK)];
    return () -> {
      long seed = Philox.key(readLong(key[0]), site, readLong(key[1]), readLong(key[2]));
      long first = readLong(key[3]) * inner;
      for (long done = 0; done < elements; done += chunk.length) {
        int count = (int) Math.min(chunk.length, elements - done);
        Philox.fill(seed, first + done, chunk, count);
        MemorySegment.copy(chunk, 0, target, ValueLayout.JAVA_INT, done * 4, count);
      }
    };
  }

  private Step dynamic(Command.Dynamic dynamic) {
    Operand whole = dynamic.whole();
    Operand part = dynamic.part();
    if (!whole.layout().isContiguous() || !DynamicCopy.takes(part, dynamic.dim())) {
      throw new IllegalStateException(dynamic.origin() + " on memory with gaps");
    }
    return DynamicCopy.of(
        dynamic,
        segment(whole, whole.shape().elements() * whole.dtype().bytes()),
        segment(part, part.extent()),
        segment(dynamic.index(), 8));
  }

  private static long readLong(MemorySegment cell) {
    return cell.get(ValueLayout.JAVA_LONG, 0);
  }

  private MemorySegment segment(Operand operand, long bytes) {
    return MemorySegment.ofAddress(address(operand)).reinterpret(bytes);
  }

  /** An out-variant or in-place operator, whose one result is dropped. */
  private Step dispatch(String operator, String overload, Argument... arguments) {
    PreparedCall call =
        PreparedCall.dispatcher(
            arena, operator, overload, List.of(arguments), List.of(Result.discard()));
    return call::invoke;
  }

  private Argument scalar(DataType dtype, double value) {
    MemorySegment cell = number(dtype, value);
    return new Argument.Tensor(
        handle(new View(cell.address(), dtype, Strided.dense(Shape.SCALAR))));
  }

  private MemorySegment number(DataType dtype, double value) {
    return numbers.computeIfAbsent(
        Literal.scalar(dtype, value),
        literal -> {
          MemorySegment cell = arena.allocate(8, 8);
          Literals.write(literal, cell);
          return cell;
        });
  }

  private Argument tensor(Operand operand) {
    return new Argument.Tensor(handle(operand));
  }

  private TensorHandle handle(Operand operand) {
    Strided layout = operand.layout();
    return handle(
        new View(
            address(operand), operand.dtype(), new Strided(layout.shape(), layout.strides(), 0)));
  }

  private TensorHandle handle(View view) {
    return handles.computeIfAbsent(
        view,
        v ->
            TensorHandle.view(
                v.address(), v.dtype(), v.layout().shape().sizes(), v.layout().strides(), kind, 0));
  }

  /** Where the first element of an operand stands. */
  private long address(Operand operand) {
    Buffer buffer = operand.buffer();
    long base;
    if (buffer.bound != null) {
      base = places.applyAsLong(buffer.bound);
    } else if (constants.containsKey(buffer)) {
      base = Objects.requireNonNull(constants.get(buffer));
    } else {
      base = scratch + buffer.offset;
    }
    return base + operand.offset();
  }
}
