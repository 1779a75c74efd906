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
    Inner inner = inner(inputs.getFirst().shape());
    var calls = new ArrayList<String>();
    if (!inner.fills()) {
      calls.add("weft::fill(y0, " + value + ")");
    }
    if (inner.target().elements() > 0) {
      calls.add("weft::copy(" + inner.put("y0") + ", " + inner.take("x0") + ")");
    }
    return List.of(Kernel.of(calls.toArray(String[]::new)));
  }

  /** Which elements of the input come where in the output. */
  private Inner inner(Shape shape) {
    int rank = shape.rank();
    long[] first = new long[rank];
    long[] sizes = new long[rank];
    long[] at = new long[rank];
    long[] steps = new long[rank];
    long[] whole = new long[rank];
    for (int dim = 0; dim < rank; dim++) {
      Window window = window(dim);
      whole[dim] = window.steps(shape.size(dim));
      // Element i comes to where the one tap of some step touches it.
      steps[dim] = window.baseDilation();
      first[dim] = Math.clamp(window.start(0), 0L, shape.size(dim));
      long limit = Math.clamp(window.limit(whole[dim] - 1), first[dim], shape.size(dim));
      sizes[dim] = limit - first[dim];
      at[dim] = first[dim] * steps[dim] + low.get(dim);
    }
    return new Inner(first, Shape.of(sizes), at, steps, Shape.of(whole));
  }

  private record Inner(long[] first, Shape target, long[] at, long[] steps, Shape whole) {
    boolean fills() {
      return target.equals(whole);
    }

    String put(String tensor) {
      return slice(tensor, at, steps);
    }

    String take(String tensor) {
      long[] ones = new long[first.length];
      Arrays.fill(ones, 1);
      return slice(tensor, first, ones);
    }

    private String slice(String tensor, long[] starts, long[] strides) {
      long[] limits = new long[starts.length];
      for (int dim = 0; dim < limits.length; dim++) {
        limits[dim] = starts[dim] + (target.size(dim) - 1) * strides[dim] + 1;
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
}
