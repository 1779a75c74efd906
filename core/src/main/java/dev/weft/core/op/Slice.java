package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Window;
import dev.weft.core.graph.Windowed;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A part of each dim.
 *
 * @param starts the first index of each dim
 * @param limits one behind the last index of each dim
 * @param strides the distance between indices taken, at least 1
 */
public record Slice(List<Long> starts, List<Long> limits, List<Long> strides)
    implements Primitive, Windowed {
  static final OpEntry ENTRY =
      OpEntry.of(
          Slice.class,
          Example.of(
              new Slice(List.of(0L, 1L), List.of(3L, 3L), List.of(1L, 1L)), Example.f32(3, 4)),
          Example.of(
              new Slice(List.of(1L, 0L), List.of(6L, 4L), List.of(2L, 1L)), Example.f32(7, 4)));

  public Slice {
    starts = List.copyOf(starts);
    limits = List.copyOf(limits);
    strides = List.copyOf(strides);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Shape shape = inputs.getFirst().shape();
    Check.require(
        starts.size() == shape.rank()
            && limits.size() == shape.rank()
            && strides.size() == shape.rank(),
        this,
        inputs,
        "starts, limits and strides must name " + shape.rank() + " dims");
    long[] sizes = new long[shape.rank()];
    for (int dim = 0; dim < sizes.length; dim++) {
      long start = starts.get(dim);
      long limit = limits.get(dim);
      long stride = strides.get(dim);
      Check.require(
          start >= 0 && start <= limit && limit <= shape.size(dim) && stride >= 1,
          this,
          inputs,
          "dim "
              + dim
              + ": "
              + start
              + " to "
              + limit
              + " by "
              + stride
              + " is outside of "
              + shape);
      sizes[dim] = (limit - start + stride - 1) / stride;
    }
    return List.of(inputs.getFirst().with(Shape.of(sizes)));
  }

  private boolean isWhole(int dim, Shape shape) {
    return starts.get(dim) == 0 && limits.get(dim) == shape.size(dim) && strides.get(dim) == 1;
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    Shape shape = inputs.getFirst().shape();
    List<List<String>> dims = Factors.named("d", shape.rank());
    Factors factors = new Factors(List.of(dims), List.of(dims), Map.of());
    for (int dim = 0; dim < shape.rank(); dim++) {
      if (!isWhole(dim, shape)) {
        factors = factors.mark("d" + dim, Factors.Mark.HALO);
      }
    }
    return factors;
  }

  @Override
  public List<Link> links(List<TensorType> inputs) {
    Shape shape = inputs.getFirst().shape();
    var links = new ArrayList<Link>();
    for (int dim = 0; dim < shape.rank(); dim++) {
      if (!isWhole(dim, shape)) {
        List<Place> place = List.of(new Place(0, dim));
        long high = limits.get(dim) - shape.size(dim);
        var window = new Window(1, strides.get(dim), -starts.get(dim), high, 1, 1);
        links.add(new Link("d" + dim, place, List.of(), place, window));
      }
    }
    return links;
  }

  @Override
  public Op withWindows(List<TensorType> inputs, Map<String, Window> windows) {
    var from = new ArrayList<>(starts);
    var to = new ArrayList<>(limits);
    for (int dim = 0; dim < starts.size(); dim++) {
      Window window = windows.get("d" + dim);
      if (window != null) {
        long start = -window.padLow();
        long steps = window.steps(inputs.getFirst().size(dim));
        long limit = steps == 0 ? start : start + (steps - 1) * window.stride() + 1;
        if (start < 0 || limit > inputs.getFirst().size(dim)) {
          throw new IllegalArgumentException(
              "slice: " + window + " reaches beyond dim " + dim + " of " + inputs.getFirst());
        }
        from.set(dim, start);
        to.set(dim, limit);
      }
    }
    return new Slice(from, to, strides);
  }

  /** Nothing lies beyond: a slice touches its input only. */
  @Override
  public double outside(int input) {
    return 0;
  }

  /** Dims that are taken whole become as long as the part's. */
  @Override
  public Op local(List<TensorType> outputs) {
    var local = new ArrayList<Long>();
    for (int dim = 0; dim < starts.size(); dim++) {
      boolean whole = starts.get(dim) == 0 && strides.get(dim) == 1;
      local.add(whole ? outputs.getFirst().size(dim) : limits.get(dim));
    }
    return new Slice(starts, local, strides);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.NONE;
  }

  @Override
  public Optional<Strided> view(Strided input) {
    int rank = starts.size();
    long[] sizes = new long[rank];
    long[] steps = new long[rank];
    long offset = input.offset();
    for (int dim = 0; dim < rank; dim++) {
      long stride = strides.get(dim);
      sizes[dim] = (limits.get(dim) - starts.get(dim) + stride - 1) / stride;
      steps[dim] = input.strides()[dim] * stride;
      offset += input.strides()[dim] * starts.get(dim);
    }
    return Optional.of(new Strided(Shape.of(sizes), steps, offset));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor dy = adjoint.cotangent();
    Shape shape = adjoint.input(0).shape();
    var interior = new ArrayList<Long>();
    var high = new ArrayList<Long>();
    for (int dim = 0; dim < shape.rank(); dim++) {
      interior.add(strides.get(dim) - 1);
      long reach = dy.size(dim) == 0 ? 0 : 1 + (dy.size(dim) - 1) * strides.get(dim);
      high.add(shape.size(dim) - starts.get(dim) - reach);
    }
    return List.of(Tensor.one(new Pad(starts, high, interior, 0), dy));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    return List.of(Gathering.strided(x, view(Strided.dense(x.shape())).orElseThrow()));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }
}
