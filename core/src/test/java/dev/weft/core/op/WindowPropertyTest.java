package dev.weft.core.op;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Window;
import dev.weft.core.graph.Windowed;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;
import net.jqwik.api.Assume;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;

/** Windows of any shape, against counting, and ops under them in parts of any size. */
class WindowPropertyTest {
  @Property(tries = 1000)
  void startLimitAndStepsAreThoseCounted(
      @ForAll @LongRange(min = 1, max = 4) long size,
      @ForAll @LongRange(min = 1, max = 4) long stride,
      @ForAll @LongRange(min = -5, max = 5) long low,
      @ForAll @LongRange(min = -5, max = 5) long high,
      @ForAll @LongRange(min = 1, max = 3) long dilation,
      @ForAll @LongRange(min = 1, max = 3) long base,
      @ForAll @LongRange(min = 0, max = 9) long elements) {
    var window = new Window(size, stride, low, high, dilation, base);
    long length = window.dilated(elements) + low + high;
    long steps = 0;
    while (steps * stride + window.span() <= length) {
      steps++;
    }
    assertEquals(steps, window.steps(elements));
    for (long step = 0; step < steps; step++) {
      long first = Long.MAX_VALUE;
      long last = Long.MIN_VALUE;
      // Between the first tap and the last, touched or not: a part may be cut there.
      for (long at = step * stride; at < step * stride + window.span(); at++) {
        if (Math.floorMod(at - low, base) == 0) {
          first = Math.min(first, Math.floorDiv(at - low, base));
          last = Math.max(last, Math.floorDiv(at - low, base));
        }
      }
      if (first <= last) {
        assertEquals(first, window.start(step));
        assertEquals(last + 1, window.limit(step));
      } else {
        assertEquals(window.start(step), window.limit(step));
      }
    }
    Window back = window.transposed(elements, steps);
    assertEquals(elements, back.steps(steps), "transposed");
  }

  /** Random ops with one spatial dim in random parts, each part with the elements it touches. */
  @Property(tries = 300)
  void anyPartsMakeUpTheWhole(@ForAll long seed, @ForAll @IntRange(min = 0, max = 5) int kind) {
    var random = new SplittableRandom(seed);
    var window =
        new Window(
            kind >= 4 ? 1 : random.nextLong(1, 5),
            kind == 5 ? 1 : random.nextLong(1, 4),
            kind == 4 ? -random.nextLong(0, 3) : random.nextLong(-2, 5),
            kind == 4 ? -random.nextLong(0, 3) : random.nextLong(-2, 5),
            kind >= 4 ? 1 : random.nextLong(1, 4),
            kind == 3 || kind == 4 ? 1 : random.nextLong(1, 4));
    long elements = random.nextLong(1, 12);
    long steps = window.steps(elements);
    Assume.that(steps > 0 && window.dilated(elements) + window.padLow() + window.padHigh() >= 0);
    Assume.that(kind < 4 || window.padLow() + window.padHigh() > -elements);
    Case tried = Case.of(kind, window, elements, steps, random);
    check(tried.op(), tried.arguments(), random);
  }

  private record Case(Windowed op, List<Literal> arguments) {
    static Case of(int kind, Window w, long elements, long steps, SplittableRandom random) {
      Function<long[], Literal> data =
          sizes ->
              ExampleData.random(
                  TensorType.of(DataType.F64, sizes), new Example.Domain(-2, 2), random.split());
      List<Long> strides = List.of(w.stride());
      List<Long> low = List.of(w.padLow());
      List<Long> high = List.of(w.padHigh());
      List<Long> dilations = List.of(w.windowDilation());
      List<Long> base = List.of(w.baseDilation());
      List<Long> sizes = List.of(w.size());
      long[] x = {2, 4, elements};
      long[] filter = {2, 2, w.size()};
      long[] y = {2, 2, steps};
      return switch (kind) {
        case 0 ->
            new Case(
                new Convolution(strides, low, high, dilations, base),
                List.of(data.apply(x), data.apply(filter)));
        case 1 ->
            new Case(
                new ConvolutionInputGradient(Shape.of(x), strides, low, dilations, base),
                List.of(data.apply(y), data.apply(filter)));
        case 2 ->
            new Case(
                new ConvolutionFilterGradient(Shape.of(filter), strides, low, dilations, base),
                List.of(data.apply(x), data.apply(y)));
        case 3 ->
            new Case(new MaxPool(sizes, strides, low, high, dilations), List.of(data.apply(x)));
        case 4 ->
            new Case(
                new Slice(List.of(-w.padLow()), List.of(elements + w.padHigh()), strides),
                List.of(data.apply(new long[] {elements})));
        default ->
            new Case(
                new Pad(low, high, List.of(w.baseDilation() - 1), 0.5),
                List.of(data.apply(new long[] {elements})));
      };
    }
  }

  private static List<TensorType> types(List<Literal> literals) {
    return literals.stream().map(Literal::type).toList();
  }

  private static List<Literal> run(Op op, List<Literal> inputs) {
    return op instanceof Primitive primitive
        ? primitive.reference(inputs)
        : dev.weft.core.interpret.Interpreter.run(
            Expansion.graph((Composite) op, types(inputs)), inputs);
  }

  private static void check(Windowed op, List<Literal> arguments, SplittableRandom random) {
    List<Literal> whole = run(op, arguments);
    for (Windowed.Link link : op.links(types(arguments))) {
      int dim = link.bases().getFirst().dim();
      long elements = arguments.get(link.bases().getFirst().tensor()).type().size(dim);
      long steps = link.window().steps(elements);
      var parts = new ArrayList<Literal>();
      for (long from = 0; from < steps; ) {
        long to = Math.min(steps, from + random.nextLong(1, steps + 1));
        long start = link.window().start(from);
        long limit = Math.max(start, link.window().limit(to - 1));
        var inputs = new ArrayList<>(arguments);
        for (Windowed.Place place : link.bases()) {
          Literal input = arguments.get(place.tensor());
          inputs.set(place.tensor(), cut(input, dim, start, limit, op.outside(place.tensor())));
        }
        for (Windowed.Place place : link.steps()) {
          inputs.set(place.tensor(), cut(arguments.get(place.tensor()), dim, from, to, 0));
        }
        Window window = link.window().part(from, to - from, start, limit - start);
        Op part = op.withWindows(types(inputs), Map.of(link.factor(), window));
        parts.add(run(part, inputs).getFirst());
        from = to;
      }
      Literal together =
          link.results().isEmpty()
              ? parts.stream()
                  .reduce((a, b) -> new Add().reference(List.of(a, b)).getFirst())
                  .orElseThrow()
              : new Concat(dim).reference(parts).getFirst();
      assertEquals(whole.getFirst().type(), together.type());
      for (int i = 0; i < together.elements(); i++) {
        if (whole.getFirst().doubles()[i] != together.doubles()[i]) {
          assertEquals(whole.getFirst().doubles()[i], together.doubles()[i], 1e-9, op.toString());
        }
      }
    }
  }

  /** A range of a dim, with a number where it lies beyond. */
  private static Literal cut(Literal x, int dim, long from, long to, double outside) {
    int rank = x.type().rank();
    var low = new ArrayList<>(java.util.Collections.nCopies(rank, 0L));
    var high = new ArrayList<>(low);
    low.set(dim, -from);
    high.set(dim, to - x.type().size(dim));
    List<Long> none = java.util.Collections.nCopies(rank, 0L);
    return new Pad(low, high, none, outside).reference(List.of(x)).getFirst();
  }
}
