package dev.weft.core.graph;

import java.util.List;
import java.util.Map;

/**
 * An op in which windows slide along dims. Such dims have factors marked {@link Factors.Mark#HALO}:
 * their sizes differ between inputs and outputs, and a part of the outputs is made from a part of
 * the inputs and what lies around it. To make a part, take the elements that its steps touch
 * ({@link Window#start}, {@link Window#limit}), put {@link #outside} where they lie beyond the
 * tensor, and apply the op that {@link #withWindows} gives for {@link Window#part}.
 */
public interface Windowed extends Op {
  /** A dim of one of the inputs, or of one of the outputs. */
  record Place(int tensor, int dim) {}

  /**
   * Dims linked by one window.
   *
   * @param factor the factor that all these dims have
   * @param bases dims of inputs that the window slides over; a part needs a halo of them
   * @param steps dims of inputs with an element for each step; a part needs no more than its own
   * @param results dims of outputs with an element for each step. Empty where the op sums over the
   *     steps
   * @param window over the whole of the dims
   */
  record Link(
      String factor, List<Place> bases, List<Place> steps, List<Place> results, Window window) {
    public Link {
      bases = List.copyOf(bases);
      steps = List.copyOf(steps);
      results = List.copyOf(results);
    }
  }

  /** Every window that moves or has more than a tap, so every factor marked as halo. */
  List<Link> links(List<TensorType> inputs);

  /**
   * The op for other inputs and windows, which differ from those of {@link #links} in their
   * paddings only. Other dims are as {@link Op#local} left them.
   *
   * @param inputs the types of the part's inputs
   * @param windows by factor; a factor that is missing keeps its window
   * @throws IllegalArgumentException if the op cannot pad and some padding is positive
   */
  Op withWindows(List<TensorType> inputs, Map<String, Window> windows);

  /** What elements beyond the ends of an input count as. */
  double outside(int input);
}
