package dev.weft.core.overlap;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;

/**
 * Where the rows of a batch lie in tensors that graphs exchange, by name.
 *
 * @param count rows of the batch that all devices have together
 * @param places of the tensors that have such a dim
 */
public record Rows(long count, Map<String, Place> places) {
  /**
   * A dim of rows.
   *
   * @param each how many elements of the dim a row has
   */
  public record Place(int dim, long each) {}

  public Rows {
    places = Map.copyOf(places);
  }

  /** The first dims of a graph's data, as far as they are as long as that of the first. */
  public static Rows of(Graph graph) {
    long count = 0;
    Map<String, Place> places = new HashMap<>();
    for (Value value : graph.inputs(Graph.Kind.DATA)) {
      if (value.type().rank() == 0) {
        continue;
      }
      count = count == 0 ? value.type().size(0) : count;
      if (value.type().size(0) == count) {
        places.put(value.name(), new Place(0, 1));
      }
    }
    return new Rows(count, places);
  }

  /**
   * With the results of a graph that takes some of these tensors.
   *
   * @param graph whole, not that of one device
   */
  public Rows through(Graph graph) {
    Map<String, Place> all = new HashMap<>(places);
    Batch.of(graph, this)
        .ifPresent(
            batch -> {
              for (Value output : graph.outputValues()) {
                OptionalInt dim = batch.dim(output);
                if (dim.isPresent()) {
                  long each = output.type().size(dim.getAsInt()) / count;
                  all.put(output.name(), new Place(dim.getAsInt(), each));
                }
              }
            });
    return new Rows(count, all);
  }

  /** With a tensor in which rows lie as in another. */
  public Rows alike(String name, String other) {
    Place place = places.get(other);
    if (place == null) {
      return this;
    }
    Map<String, Place> all = new HashMap<>(places);
    all.put(name, place);
    return new Rows(count, all);
  }
}
