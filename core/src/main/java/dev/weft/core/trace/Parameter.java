package dev.weft.core.trace;

import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;

/**
 * A parameter of a traced model: trained, or an average over training of what is seen in
 * micro-batches. Those of repeated layers are one tensor with the layers stacked in the first dim;
 * each {@code *} in the name stands for a layer's number.
 *
 * @param name as typed, {@code h.*.qkv.weight}
 * @param type with the stacked dims in front
 * @param stackedDims how many dims of the type are stacked layers
 * @param firstLayer the layer that the first dim begins with: above 0 where a piece of a model has
 *     only some of the layers
 * @param averaged whether it is such an average: its gradient is by definition what it must lose to
 *     become what is seen
 * @param initializer how it starts
 * @param source the line of the model that asks for it first, {@code Gpt.java:42}
 */
public record Parameter(
    String name,
    TensorType type,
    int stackedDims,
    int firstLayer,
    boolean averaged,
    Initializer initializer,
    String source) {

  /** A trained parameter with all its layers. */
  public Parameter(
      String name, TensorType type, int stackedDims, Initializer initializer, String source) {
    this(name, type, stackedDims, 0, false, initializer, source);
  }

  /**
   * What the piece's graphs call it: the name, and for other layers than the first ones where they
   * begin, so that two parts of one parameter can be told apart.
   */
  public String key() {
    return firstLayer == 0 ? name : name + "/" + firstLayer;
  }

  /** Some of the layers, counted from the first that this has. */
  public Parameter layers(int from, int to) {
    return new Parameter(
        name,
        type.with(type.shape().with(0, to - from)),
        stackedDims,
        firstLayer + from,
        averaged,
        initializer,
        source);
  }

  /** How many elements of the whole parameter lie before this part of it. */
  public long firstElement() {
    return firstLayer == 0 ? 0 : firstLayer * type.shape().product(1, type.rank());
  }

  /** The type of one layer's part. */
  public TensorType sliceType() {
    return type.with(type.shape().slice(stackedDims, type.rank()));
  }

  /** The names of all layers' parts in the order of memory: {@code h.0.qkv.weight, ...}. */
  public List<String> sliceNames() {
    List<String> names = List.of(name);
    for (int dim = 0; dim < stackedDims; dim++) {
      long first = dim == 0 ? firstLayer : 0;
      var longer = new ArrayList<String>();
      for (String prefix : names) {
        for (long layer = first; layer < first + type.size(dim); layer++) {
          longer.add(prefix.replaceFirst("\\*", Long.toString(layer)));
        }
      }
      names = longer;
    }
    return names;
  }
}
