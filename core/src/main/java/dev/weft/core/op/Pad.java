package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Window;
import dev.weft.core.graph.Windowed;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A tensor with a number added around and between its elements.
 *
 * @param low how many before each dim; a negative number takes elements away
 * @param high how many behind; likewise
 * @param interior how many between neighbours of each dim
 * @param value the number
 */
public record Pad(List<Long> low, List<Long> high, List<Long> interior, double value)
    implements Primitive, Windowed {
  static final OpEntry ENTRY =
      OpEntry.of(
          Pad.class,
          Example.of(
              new Pad(List.of(0L, 1L), List.of(0L, 2L), List.of(0L, 0L), 0.5), Example.f32(3, 4)),
          Example.of(
              new Pad(List.of(1L, 0L), List.of(2L, 0L), List.of(0L, 0L), 0), Example.f32(3, 4)),
          Example.of(
              new Pad(List.of(2L, -1L), List.of(-3L, 1L), List.of(1L, 2L), -1), Example.f32(5, 4)),
          Example.of(new Pad(List.of(-7L), List.of(2L), List.of(1L), 3), Example.f32(4)));

  public Pad {
    low = List.copyOf(low);
    high = List.copyOf(high);
    interior = List.copyOf(interior);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Shape shape = inputs.getFirst().shape();
    Check.require(
        low.size() == shape.rank()
            && high.size() == shape.rank()
            && interior.size() == shape.rank(),
        this,
        inputs,
        "low, high and interior must name " + shape.rank() + " dims");
    long[] sizes = shape.sizes();
    for (int dim = 0; dim < sizes.length; dim++) {
      Check.require(interior.get(dim) >= 0, this, inputs, "interior padding must not be negative");
      Window window = window(dim);
      sizes[dim] = window.dilated(sizes[dim]) + low.get(dim) + high.get(dim);
      Check.require(
          sizes[dim] >= 0, this, inputs, "more than all of dim " + dim + " is taken away");
    }
    return List.of(inputs.getFirst().with(Shape.of(sizes)));
  }

  private Window window(int dim) {
    return new Window(1, 1, low.get(dim), high.get(dim), 1, interior.get(dim) + 1);
  }

  private boolean moves(int dim) {
    return low.get(dim) != 0 || high.get(dim) != 0 || interior.get(dim) != 0;
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    List<List<String>> dims = Factors.named("d", low.size());
    Factors factors = new Factors(List.of(dims), List.of(dims), Map.of());
    for (int dim = 0; dim < low.size(); dim++) {
      if (moves(dim)) {
        factors = factors.mark("d" + dim, Factors.Mark.HALO);
      }
    }
    return factors;
  }

  @Override
  public List<Link> links(List<TensorType> inputs) {
    var links = new ArrayList<Link>();
    for (int dim = 0; dim < low.size(); dim++) {
      if (moves(dim)) {
        List<Place> place = List.of(new Place(0, dim));
        links.add(new Link("d" + dim, place, List.of(), place, window(dim)));
      }
    }
    return links;
  }

  @Override
  public Op withWindows(List<TensorType> inputs, Map<String, Window> windows) {
    var lows = new ArrayList<>(low);
    var highs = new ArrayList<>(high);
    for (int dim = 0; dim < low.size(); dim++) {
      Window window = windows.getOrDefault("d" + dim, window(dim));
      lows.set(dim, window.padLow());
      highs.set(dim, window.padHigh());
    }
    return new Pad(lows, highs, interior, value);
  }

  @Override
  public double outside(int input) {
    return value;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(0, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of(calls(inputs.getFirst(), "y0", "x0").toArray(String[]::new)));
  }

  /**
   * Calls that pad one tensor into another.
   *
   * @param input the type of the source
   * @param target a tensor of a kernel's text; a temporary gets its type here
   */
  List<String> calls(TensorType input, String target, String source) {
    Inner inner = inner(input.shape());
    TensorType whole = infer(List.of(input)).getFirst();
    String named = target.startsWith("t") ? target + ":" + whole : target;
    var calls = new ArrayList<String>();
    if (!inner.isAll(whole.shape())) {
      calls.add("weft::fill(" + named + ", " + value + ")");
      named = target;
    }
    if (inner.sizes().elements() > 0) {
      calls.add("weft::copy(" + inner.put(named) + ", " + inner.take(source) + ")");
    }
    return calls;
  }

  /** Calls that take what was padded out of it again; zeros where it was taken away. */
  List<String> undo(TensorType input, String target, String source) {
    Inner inner = inner(input.shape());
    var calls = new ArrayList<String>();
    if (!inner.isAll(input.shape())) {
      calls.add("weft::fill(" + target + ", 0.0)");
    }
    if (inner.sizes().elements() > 0) {
      calls.add("weft::copy(" + inner.take(target) + ", " + inner.put(source) + ")");
    }
    return calls;
  }

  /** Which elements of the input come where in the output. */
  private Inner inner(Shape shape) {
    int rank = shape.rank();
    long[] first = new long[rank];
    long[] sizes = new long[rank];
    long[] at = new long[rank];
    long[] steps = new long[rank];
    for (int dim = 0; dim < rank; dim++) {
      // Element i comes to where the one tap of some step touches it.
      Window window = window(dim);
      long last = window.steps(shape.size(dim)) - 1;
      steps[dim] = window.baseDilation();
      first[dim] = Math.clamp(window.start(0), 0L, shape.size(dim));
      sizes[dim] = Math.clamp(window.limit(last), first[dim], shape.size(dim)) - first[dim];
      at[dim] = first[dim] * steps[dim] + low.get(dim);
    }
    return new Inner(first, Shape.of(sizes), at, steps);
  }

  /**
   * A part of the input and its place in the output.
   *
   * @param first the first index of each dim
   * @param sizes how many
   * @param at where the first one comes
   * @param steps how far its neighbour from it
   */
  private record Inner(long[] first, Shape sizes, long[] at, long[] steps) {
    boolean isAll(Shape shape) {
      return sizes.equals(shape);
    }

    String put(String output) {
      return slice(output, at, steps);
    }

    String take(String input) {
      long[] ones = new long[first.length];
      Arrays.fill(ones, 1);
      return slice(input, first, ones);
    }

    private String slice(String tensor, long[] starts, long[] strides) {
      long[] limits = new long[starts.length];
      for (int dim = 0; dim < limits.length; dim++) {
        limits[dim] = starts[dim] + (sizes.size(dim) - 1) * strides[dim] + 1;
      }
      return "slice(%s,%s,%s,%s)"
          .formatted(
              tensor, Arrays.toString(starts), Arrays.toString(limits), Arrays.toString(strides));
    }
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    int rank = low.size();
    Shape shape = adjoint.input(0).shape();
    long[] before = new long[rank];
    long[] behind = new long[rank];
    var starts = new ArrayList<Long>();
    var limits = new ArrayList<Long>();
    var strides = new ArrayList<Long>();
    for (int dim = 0; dim < rank; dim++) {
      // Nothing flows to what was taken away.
      before[dim] = Math.max(0, -low.get(dim));
      behind[dim] = Math.max(0, -high.get(dim));
      starts.add(Math.max(0, low.get(dim)));
      limits.add(starts.getLast() + window(dim).dilated(shape.size(dim)));
      strides.add(interior.get(dim) + 1);
    }
    Tensor dy = adjoint.cotangent().pad(before, behind, 0);
    return List.of(Tensor.one(new Slice(starts, limits, strides), dy));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    TensorType type = infer(List.of(x.type())).getFirst();
    Literal y = Literal.filled(type, value);
    long[] sizes = x.shape().sizes();
    long[] strides = type.shape().strides();
    for (int i = 0; i < x.elements(); i++) {
      long rest = i;
      long position = 0;
      boolean stays = true;
      for (int dim = sizes.length - 1; dim >= 0; dim--) {
        long at = rest % sizes[dim] * (interior.get(dim) + 1) + low.get(dim);
        stays &= at >= 0 && at < type.size(dim);
        position += at * strides[dim];
        rest /= sizes[dim];
      }
      if (!stays) {
        continue;
      }
      if (type.dtype().isFloat()) {
        y.doubles()[(int) position] = x.doubles()[i];
      } else {
        y.longs()[(int) position] = x.longs()[i];
      }
    }
    return List.of(y);
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return value == 0 ? List.of(List.of(0)) : List.of();
  }
}
