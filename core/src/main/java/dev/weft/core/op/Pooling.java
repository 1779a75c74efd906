package dev.weft.core.op;

import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Window;
import dev.weft.core.graph.Windowed.Link;
import dev.weft.core.graph.Windowed.Place;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * Windows over the last dims of a tensor, which pooling and its gradient share.
 *
 * @param sizes the taps of the window, per dim that it slides along
 * @param strides the distance between neighbouring steps
 * @param low padding before each dim
 * @param dilations the distance between neighbouring taps
 */
record Pooling(List<Long> sizes, List<Long> strides, List<Long> low, List<Long> dilations) {
  void check(Op op, List<TensorType> inputs) {
    int dims = sizes.size();
    Check.require(
        dims >= 1 && strides.size() == dims && low.size() == dims && dilations.size() == dims,
        op,
        inputs,
        "sizes, strides, paddings and dilations must name the same dims, at least one");
    for (int dim = 0; dim < dims; dim++) {
      Check.require(
          sizes.get(dim) >= 1 && strides.get(dim) >= 1 && dilations.get(dim) >= 1,
          op,
          inputs,
          "sizes, strides and dilations must be at least 1");
    }
    Check.require(
        inputs.getFirst().rank() >= dims, op, inputs, "argument 0 needs " + dims + " dims to pool");
  }

  Window window(int dim) {
    return new Window(sizes.get(dim), strides.get(dim), low.get(dim), 0, dilations.get(dim), 1);
  }

  /** The shape with an element per step. */
  Shape steps(Shape x, List<Long> high) {
    long[] steps = x.sizes();
    int first = steps.length - sizes.size();
    for (int dim = 0; dim < sizes.size(); dim++) {
      Window window = window(dim).with(low.get(dim), high.get(dim));
      steps[first + dim] = window.steps(steps[first + dim]);
    }
    return Shape.of(steps);
  }

  /** The shape with the given elements in the dims that the windows slide along. */
  Shape elements(Shape steps, List<Long> extents) {
    long[] elements = steps.sizes();
    int first = elements.length - sizes.size();
    for (int dim = 0; dim < sizes.size(); dim++) {
      elements[first + dim] = extents.get(dim);
    }
    return Shape.of(elements);
  }

  /** The elements of the dims that the windows slide along. */
  List<Long> extents(Shape x) {
    var extents = new ArrayList<Long>();
    for (int dim = x.rank() - sizes.size(); dim < x.rank(); dim++) {
      extents.add(x.size(dim));
    }
    return extents;
  }

  /** Dims {@code d0, d1, ...} alike in all tensors, those with windows marked as halos. */
  Factors factors(int inputs, int outputs, int rank) {
    Factors factors = Factors.elementwise(inputs, outputs, rank);
    for (int dim = rank - sizes.size(); dim < rank; dim++) {
      factors = factors.mark("d" + dim, Factors.Mark.HALO);
    }
    return factors;
  }

  /** One link per dim, of so many inputs and outputs alike. */
  static List<Link> links(int inputs, int outputs, int rank, List<Window> windows) {
    var links = new ArrayList<Link>();
    for (int i = 0; i < windows.size(); i++) {
      int dim = rank - windows.size() + i;
      links.add(
          new Link(
              "d" + dim, places(inputs, dim), List.of(), places(outputs, dim), windows.get(i)));
    }
    return links;
  }

  private static List<Place> places(int tensors, int dim) {
    var places = new ArrayList<Place>();
    for (int tensor = 0; tensor < tensors; tensor++) {
      places.add(new Place(tensor, dim));
    }
    return places;
  }

  /** The windows over elements, with the padding behind that makes the steps. */
  List<Window> windows(Shape x, Shape steps) {
    var windows = new ArrayList<Window>();
    int first = x.rank() - sizes.size();
    for (int dim = 0; dim < sizes.size(); dim++) {
      windows.add(window(dim).fitted(x.size(first + dim), steps.size(first + dim)));
    }
    return windows;
  }

  /** The windows as the gradient sees them: over steps, a step per element. */
  List<Window> transposed(Shape x, Shape steps) {
    var windows = new ArrayList<Window>();
    int first = x.rank() - sizes.size();
    for (int dim = 0; dim < sizes.size(); dim++) {
      windows.add(
          windows(x, steps).get(dim).transposed(x.size(first + dim), steps.size(first + dim)));
    }
    return windows;
  }

  /** A number per dim with a window, by its factor's name where that is given. */
  static List<Long> replace(
      List<Long> values, int rank, Map<String, Window> windows, Function<Window, Long> value) {
    var replaced = new ArrayList<>(values);
    for (int i = 0; i < values.size(); i++) {
      Window window = windows.get("d" + (rank - values.size() + i));
      if (window != null) {
        replaced.set(i, value.apply(window));
      }
    }
    return replaced;
  }

  int taps() {
    return sizes.stream().mapToInt(Math::toIntExact).reduce(1, Math::multiplyExact);
  }

  /** The place of a tap in each dim; the last dim runs fastest. */
  private long[] place(int tap) {
    long[] place = new long[sizes.size()];
    long rest = tap;
    for (int dim = place.length - 1; dim >= 0; dim--) {
      place[dim] = rest % sizes.get(dim) * dilations.get(dim);
      rest /= sizes.get(dim);
    }
    return place;
  }

  /** What each window is of, padded by a number just so far as windows reach. */
  Tensor padded(Tensor x, Shape steps, double number) {
    long[] before = new long[x.rank()];
    long[] behind = new long[x.rank()];
    List<Window> windows = windows(x.shape(), steps);
    for (int i = 0; i < windows.size(); i++) {
      before[x.rank() - windows.size() + i] = windows.get(i).padLow();
      behind[x.rank() - windows.size() + i] = windows.get(i).padHigh();
    }
    return x.pad(before, behind, number);
  }

  /** The element that a tap touches at each step. */
  Tensor tap(Tensor padded, Shape steps, int tap) {
    var starts = new ArrayList<Long>();
    var limits = new ArrayList<Long>();
    var distances = new ArrayList<Long>();
    int first = steps.rank() - sizes.size();
    long[] place = place(tap);
    for (int dim = 0; dim < steps.rank(); dim++) {
      boolean slides = dim >= first;
      long distance = slides ? strides.get(dim - first) : 1;
      long start = slides ? place[dim - first] : 0;
      starts.add(start);
      limits.add(steps.size(dim) == 0 ? start : start + (steps.size(dim) - 1) * distance + 1);
      distances.add(distance);
    }
    return Tensor.one(new Slice(starts, limits, distances), padded);
  }

  /** A number per step put where a tap touches, zeros elsewhere. */
  Tensor untap(Tensor steps, Shape x, int tap) {
    int rank = x.rank();
    int first = rank - sizes.size();
    var before = new ArrayList<Long>();
    var behind = new ArrayList<Long>();
    var between = new ArrayList<Long>();
    long[] place = place(tap);
    for (int dim = 0; dim < rank; dim++) {
      boolean slides = dim >= first;
      long distance = slides ? strides.get(dim - first) : 1;
      long start = slides ? place[dim - first] - low.get(dim - first) : 0;
      long reach = steps.size(dim) == 0 ? 0 : 1 + (steps.size(dim) - 1) * distance;
      before.add(start);
      behind.add(x.size(dim) - start - reach);
      between.add(distance - 1);
    }
    return Tensor.one(new Pad(before, behind, between, 0), steps);
  }

  /**
   * The library's arguments from the window's sizes to its padding, or nothing where it cannot do
   * this: it wants two dims, no dilation, the same padding on both sides and at most half a window.
   */
  Optional<String> library(Shape x, Shape steps) {
    if (sizes.size() != 2 || x.rank() < 3 || x.rank() > 4 || steps.elements() == 0) {
      return Optional.empty();
    }
    for (int dim = 0; dim < 2; dim++) {
      long padding = low.get(dim);
      Window even = window(dim).with(padding, padding);
      if (dilations.get(dim) != 1
          || padding < 0
          || padding > sizes.get(dim) / 2
          || even.steps(x.size(dim - 2)) != steps.size(dim - 2)) {
        return Optional.empty();
      }
    }
    return Optional.of("%s, %s, %s".formatted(sizes, strides, low));
  }

  /** A list of one number per dim. */
  static List<Long> all(int dims, long value) {
    return ConvolutionGeometry.all(dims, value);
  }
}
