package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
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
 * The gradient of {@link MaxPool}: a number per step is added where the step's tap touches. Inputs:
 * the cotangent of the largest elements, and the taps (i32).
 *
 * @param extents the sizes of the output in the dims that the window slides along
 * @param sizes as of the pooling, per dim that the window slides along
 * @param strides likewise
 * @param low likewise; the padding behind follows from the shapes
 * @param dilations likewise
 */
public record MaxPoolGradient(
    List<Long> extents, List<Long> sizes, List<Long> strides, List<Long> low, List<Long> dilations)
    implements Composite, Windowed {
  static final OpEntry ENTRY =
      OpEntry.of(
          MaxPoolGradient.class,
          Example.of(
              new MaxPoolGradient(List.of(4L, 6L), all(2, 2), all(2, 2), all(2, 0), all(2, 1)),
              Example.f32(2, 3, 2, 3),
              taps(4, 2, 3, 2, 3)),
          Example.of(
              new MaxPoolGradient(List.of(7L, 5L), all(2, 3), all(2, 2), all(2, 1), all(2, 1)),
              Example.f32(1, 2, 4, 3),
              taps(9, 1, 2, 4, 3)),
          Example.of(
              new MaxPoolGradient(
                  List.of(5L, 6L), List.of(2L, 3L), List.of(1L, 2L), List.of(1L, 0L), all(2, 2)),
              Example.f32(2, 4, 2),
              taps(6, 2, 4, 2)));

  public MaxPoolGradient {
    extents = List.copyOf(extents);
    sizes = List.copyOf(sizes);
    strides = List.copyOf(strides);
    low = List.copyOf(low);
    dilations = List.copyOf(dilations);
  }

  private static List<Long> all(int dims, long value) {
    return Pooling.all(dims, value);
  }

  private static Example.Argument taps(long count, long... steps) {
    return Example.in(0, count, TensorType.of(DataType.I32, steps));
  }

  private Pooling pooling() {
    return new Pooling(sizes, strides, low, dilations);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.isFloat(this, inputs, 0);
    pooling().check(this, inputs);
    Check.require(
        extents.size() == sizes.size() && extents.stream().allMatch(n -> n >= 0),
        this,
        inputs,
        "extents must name a size for each dim of the window");
    TensorType dy = inputs.getFirst();
    Check.type(this, inputs, 1, dy.with(DataType.I32));
    return List.of(dy.with(pooling().elements(dy.shape(), extents)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return pooling().factors(2, 1, inputs.getFirst().rank());
  }

  @Override
  public Op local(List<TensorType> outputs) {
    List<Long> local = pooling().extents(outputs.getFirst().shape());
    return new MaxPoolGradient(local, sizes, strides, low, dilations);
  }

  @Override
  public List<Link> links(List<TensorType> inputs) {
    Shape steps = inputs.getFirst().shape();
    Shape x = infer(inputs).getFirst().shape();
    return Pooling.links(2, 1, x.rank(), pooling().transposed(x, steps));
  }

  @Override
  public Op withWindows(List<TensorType> inputs, Map<String, Window> windows) {
    Shape steps = inputs.getFirst().shape();
    int rank = steps.rank();
    var local = new ArrayList<>(extents);
    for (int i = 0; i < local.size(); i++) {
      int dim = rank - local.size() + i;
      Window window = windows.get("d" + dim);
      if (window != null) {
        local.set(i, window.steps(steps.size(dim)));
      }
    }
    return new MaxPoolGradient(
        local,
        sizes,
        strides,
        Pooling.replace(low, rank, windows, w -> w.span() - 1 - w.padLow()),
        dilations);
  }

  /** Nothing, of a tap that there is not. */
  @Override
  public double outside(int input) {
    return input == 0 ? 0 : -1;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(
        (double) inputs.getFirst().elements() * pooling().taps(), inputs, infer(inputs));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    // Each number of a step goes back to where it came from.
    Tensor taps = adjoint.input(1);
    Tensor padded = pooling().padded(adjoint.cotangent(), taps.shape(), 0);
    Tensor sum = null;
    for (int tap = 0; tap < pooling().taps(); tap++) {
      Tensor part = chosen(taps, tap, pooling().tap(padded, taps.shape(), tap));
      sum = sum == null ? part : sum.plus(part);
    }
    return Arrays.asList(sum, null);
  }

  private static Tensor chosen(Tensor taps, int tap, Tensor values) {
    return Tensor.where(taps.equalTo(taps.scalar(tap)), values, values.filled(0));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor dy = inputs.getFirst();
    Tensor taps = inputs.get(1);
    Shape x = infer(List.of(dy.type(), taps.type())).getFirst().shape();
    Tensor sum = pooling().untap(chosen(taps, 0, dy), x, 0);
    for (int tap = 1; tap < pooling().taps(); tap++) {
      sum = sum.plus(pooling().untap(chosen(taps, tap, dy), x, tap));
    }
    return List.of(sum);
  }
}
