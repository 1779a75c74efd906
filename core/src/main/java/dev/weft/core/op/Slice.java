package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
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
public record Slice(List<Long> starts, List<Long> limits, List<Long> strides) implements Primitive {
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

  @Override
  public Factors factors(List<TensorType> inputs) {
    Shape shape = inputs.getFirst().shape();
    var from = new ArrayList<List<String>>();
    var to = new ArrayList<List<String>>();
    Factors marks = new Factors(List.of(), List.of(), Map.of());
    for (int dim = 0; dim < shape.rank(); dim++) {
      boolean all =
          starts.get(dim) == 0 && limits.get(dim) == shape.size(dim) && strides.get(dim) == 1;
      from.add(List.of(all ? "d" + dim : "i" + dim));
      to.add(List.of(all ? "d" + dim : "o" + dim));
      if (!all) {
        marks = marks.mark("i" + dim, Factors.Mark.WHOLE).mark("o" + dim, Factors.Mark.WHOLE);
      }
    }
    return new Factors(List.of(from), List.of(to), marks.marks());
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
    // Put zeros between the taken elements, then around them.
    for (int dim = 0; dim < shape.rank(); dim++) {
      long stride = strides.get(dim);
      if (stride > 1) {
        Shape spread = dy.shape().insert(dim + 1, 1);
        long[] high = new long[spread.rank()];
        high[dim + 1] = stride - 1;
        Tensor padded = dy.reshape(spread).pad(new long[spread.rank()], high, 0);
        dy = padded.reshape(dy.shape().with(dim, dy.size(dim) * stride));
        long wanted = Math.min(dy.size(dim), shape.size(dim) - starts.get(dim));
        dy = dy.slice(dim, 0, wanted);
      }
    }
    long[] low = new long[shape.rank()];
    long[] high = new long[shape.rank()];
    for (int dim = 0; dim < shape.rank(); dim++) {
      low[dim] = starts.get(dim);
      high[dim] = shape.size(dim) - low[dim] - dy.size(dim);
    }
    return List.of(dy.pad(low, high, 0));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    return List.of(Gathering.strided(x, view(Strided.dense(x.shape())).orElseThrow()));
  }
}
