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
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A convolution over 1 to 3 spatial dims. Inputs: x [n, c, spatial...], filter [o, c / groups,
 * taps...] of the same type. Output: [n, o, spatial...]. Where the filter's dim 1 is smaller than
 * c, the channels fall into groups of that size, each seen by its own o / groups filters. The
 * filter is not reversed, as everywhere in machine learning.
 *
 * @param strides the distance between neighbouring steps, per spatial dim
 * @param low zeros before each spatial dim; a negative number takes elements away
 * @param high zeros behind; likewise
 * @param dilations the distance between neighbouring taps
 * @param baseDilations the distance that neighbouring elements of x are moved apart to
 */
public record Convolution(
    List<Long> strides,
    List<Long> low,
    List<Long> high,
    List<Long> dilations,
    List<Long> baseDilations)
    implements Primitive, Windowed {
  static final OpEntry ENTRY =
      OpEntry.of(
          Convolution.class,
          Example.of(of(2, 1, 1), Example.f32(2, 3, 5, 4), Example.f32(4, 3, 3, 3)),
          Example.of(
              new Convolution(
                  List.of(2L, 3L), List.of(0L, 2L), List.of(1L, 0L), List.of(1L, 2L), all(2)),
              Example.f32(2, 4, 6, 7),
              Example.f32(6, 2, 2, 3)),
          Example.of(
              new Convolution(
                  List.of(2L, 1L), List.of(-1L, 1L), List.of(2L, -2L), all(2), List.of(3L, 2L)),
              Example.f32(1, 2, 4, 3),
              Example.f32(2, 1, 2, 2)),
          Example.of(of(2, 1, 0), Example.f32(2, 4, 3, 3), Example.f32(2, 4, 1, 1)),
          Example.of(of(1, 2, 1), Example.f32(2, 3, 7), Example.f32(2, 3, 4)),
          Example.of(of(3, 1, 1), Example.f32(1, 2, 3, 2, 3), Example.f32(2, 2, 2, 3, 2)));

  public Convolution {
    strides = List.copyOf(strides);
    low = List.copyOf(low);
    high = List.copyOf(high);
    dilations = List.copyOf(dilations);
    baseDilations = List.copyOf(baseDilations);
  }

  /** One stride, and one padding on both sides, for all spatial dims. */
  public static Convolution of(int dims, long stride, long padding) {
    List<Long> around = ConvolutionGeometry.all(dims, padding);
    return new Convolution(
        ConvolutionGeometry.all(dims, stride), around, around, all(dims), all(dims));
  }

  private static List<Long> all(int dims) {
    return ConvolutionGeometry.all(dims, 1);
  }

  private ConvolutionGeometry.Steps steps() {
    return new ConvolutionGeometry.Steps(strides, low, dilations, baseDilations);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.isFloat(this, inputs, 0);
    ConvolutionGeometry.check(this, inputs, steps());
    Check.require(
        high.size() == low.size(), this, inputs, "low and high must name the same spatial dims");
    int rank = strides.size() + 2;
    Check.rank(this, inputs, 0, rank);
    Check.rank(this, inputs, 1, rank);
    TensorType x = inputs.get(0);
    TensorType filter = inputs.get(1);
    Check.type(this, inputs, 1, filter.with(x.dtype()));
    long[] sizes = x.shape().sizes();
    sizes[1] = filter.size(0);
    for (int dim = 2; dim < rank; dim++) {
      Window window = steps().window(dim - 2, filter.size(dim));
      sizes[dim] = window.with(low.get(dim - 2), high.get(dim - 2)).steps(sizes[dim]);
    }
    Shape y = Shape.of(sizes);
    ConvolutionGeometry.checkChannels(this, inputs, x.shape(), filter.shape(), y);
    return List.of(x.with(y));
  }

  private ConvolutionGeometry geometry(List<TensorType> inputs) {
    return ConvolutionGeometry.of(
        steps(), inputs.get(0).shape(), inputs.get(1).shape(), infer(inputs).getFirst().shape());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    ConvolutionGeometry geometry = geometry(inputs);
    List<List<List<String>>> all = geometry.factors();
    return geometry.marked(ConvolutionGeometry.factors(all.subList(0, 2), all.get(2)));
  }

  @Override
  public List<Link> links(List<TensorType> inputs) {
    ConvolutionGeometry geometry = geometry(inputs);
    return geometry.links(0, List.of(), List.of(0), geometry.windows());
  }

  @Override
  public Op withWindows(List<TensorType> inputs, Map<String, Window> windows) {
    var lows = new ArrayList<>(low);
    var highs = new ArrayList<>(high);
    for (int dim = 0; dim < low.size(); dim++) {
      Window window = windows.get("s" + dim);
      if (window != null) {
        lows.set(dim, window.padLow());
        highs.set(dim, window.padHigh());
      }
    }
    return new Convolution(strides, lows, highs, dilations, baseDilations);
  }

  @Override
  public double outside(int input) {
    return 0;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(geometry(inputs).flops(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    ConvolutionGeometry geometry = geometry(inputs);
    TensorType x = inputs.getFirst();
    if (geometry.y().elements() == 0) {
      return List.of(Kernel.of("weft::fill(y0, 0.0)"));
    }
    String call = "aten::convolution(%s, x1, none, " + geometry.arguments() + ") -> y0";
    if (geometry.isDirect()) {
      return List.of(Kernel.of(call.formatted("x0")));
    }
    var calls = geometry.padding().calls(x, "t0", "x0");
    calls.add(call.formatted("t0"));
    return List.of(Kernel.of(calls.toArray(String[]::new)));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    Tensor filter = adjoint.input(1);
    Tensor dy = adjoint.cotangent();
    return List.of(
        Tensor.one(
            new ConvolutionInputGradient(x.shape(), strides, low, dilations, baseDilations),
            dy,
            filter),
        Tensor.one(
            new ConvolutionFilterGradient(filter.shape(), strides, low, dilations, baseDilations),
            x,
            dy));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    List<TensorType> types = inputs.stream().map(Literal::type).toList();
    double[] x = inputs.get(0).doubles();
    double[] filter = inputs.get(1).doubles();
    TensorType type = infer(types).getFirst();
    double[] y = new double[Math.toIntExact(type.elements())];
    geometry(types).forEach((i, k, o) -> y[o] += x[i] * filter[k]);
    return List.of(Literal.of(type, y));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0), List.of(1));
  }
}
