package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Window;
import dev.weft.core.graph.Windowed;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The largest element under each step of a window that slides along the last dims of x. Outputs:
 * the largest elements, and which tap of the window holds it (i32, counted with the last dim
 * running fastest, the lowest where several do). A tap means the same wherever the window stands,
 * so that parts of x need not know their place.
 *
 * @param sizes the taps of the window, per dim that it slides along
 * @param strides the distance between neighbouring steps
 * @param low how many elements of minus infinity stand before each dim
 * @param high how many behind
 * @param dilations the distance between neighbouring taps
 */
public record MaxPool(
    List<Long> sizes, List<Long> strides, List<Long> low, List<Long> high, List<Long> dilations)
    implements Composite, Windowed {
  static final OpEntry ENTRY =
      OpEntry.of(
          MaxPool.class,
          Example.of(of(2, 2, 2, 0), Example.f32(2, 3, 4, 6)),
          Example.of(of(2, 3, 2, 1), Example.f32(1, 2, 7, 5)),
          Example.of(
              new MaxPool(
                  List.of(2L, 3L), List.of(1L, 2L), List.of(1L, 0L), List.of(0L, 2L), all(2, 2)),
              Example.f32(2, 5, 6)),
          Example.of(
              new MaxPool(List.of(4L), List.of(2L), List.of(3L), List.of(0L), all(1, 1)),
              Example.f32(9)));

  public MaxPool {
    sizes = List.copyOf(sizes);
    strides = List.copyOf(strides);
    low = List.copyOf(low);
    high = List.copyOf(high);
    dilations = List.copyOf(dilations);
  }

  /** One size, stride, and padding on both sides, for all dims. */
  public static MaxPool of(int dims, long size, long stride, long padding) {
    List<Long> around = all(dims, padding);
    return new MaxPool(all(dims, size), all(dims, stride), around, around, all(dims, 1));
  }

  private static List<Long> all(int dims, long value) {
    return Pooling.all(dims, value);
  }

  private Pooling pooling() {
    return new Pooling(sizes, strides, low, dilations);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.isFloat(this, inputs, 0);
    pooling().check(this, inputs);
    Check.require(high.size() == low.size(), this, inputs, "low and high must name the same dims");
    TensorType x = inputs.getFirst();
    Shape steps = pooling().steps(x.shape(), high);
    return List.of(x.with(steps), new TensorType(DataType.I32, steps));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return pooling().factors(1, 2, inputs.getFirst().rank());
  }

  @Override
  public List<Link> links(List<TensorType> inputs) {
    Shape x = inputs.getFirst().shape();
    Shape steps = infer(inputs).getFirst().shape();
    return Pooling.links(1, 2, x.rank(), pooling().windows(x, steps));
  }

  @Override
  public Op withWindows(List<TensorType> inputs, Map<String, Window> windows) {
    int rank = inputs.getFirst().rank();
    return new MaxPool(
        sizes,
        strides,
        Pooling.replace(low, rank, windows, Window::padLow),
        Pooling.replace(high, rank, windows, Window::padHigh),
        dilations);
  }

  @Override
  public double outside(int input) {
    return Double.NEGATIVE_INFINITY;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    List<TensorType> outputs = infer(inputs);
    return Cost.streaming(
        (double) outputs.getFirst().elements() * pooling().taps(), inputs, outputs);
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(
        Tensor.one(
            new MaxPoolGradient(
                pooling().extents(adjoint.input(0).shape()), sizes, strides, low, dilations),
            adjoint.cotangent(),
            adjoint.output(1)));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Shape steps = infer(List.of(x.type())).getFirst().shape();
    Pooling pooling = pooling();
    Tensor padded = pooling.padded(x, steps, Double.NEGATIVE_INFINITY);
    Tensor largest = pooling.tap(padded, steps, 0);
    Tensor taps = Tensor.constant(x.builder(), DataType.I32, 0).broadcast(steps, List.of());
    for (int tap = 1; tap < pooling.taps(); tap++) {
      Tensor element = pooling.tap(padded, steps, tap);
      taps = Tensor.where(element.greater(largest), taps.filled(tap), taps);
      largest = Tensor.one(new Maximum(), largest, element);
    }
    return List.of(largest, taps);
  }
}
