package dev.weft.core.shard;

import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.SelfSplitting;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A node's factors with their sizes and places.
 *
 * <p>A factor can be split only where it stands outermost in its dim: tiles of {@code (b s)} along
 * b are runs of the dim, if b divides evenly.
 */
public final class Dimensions {
  /**
   * A dim of one of the node's tensors.
   *
   * @param output whether it is an output's
   * @param tensor the number of the input or output
   */
  public record Place(boolean output, int tensor, int dim) {}

  private final Node node;
  private final Factors factors;
  private final Map<String, Long> sizes = new HashMap<>();
  private final Map<String, List<Place>> places = new HashMap<>();
  private final Set<String> grouped = new LinkedHashSet<>();
  private final Set<String> names = new LinkedHashSet<>();

  public Dimensions(Node node) {
    this(node, node.op().factors(node.inputTypes()));
  }

  /** The same for factors that the op does not tell itself. */
  public Dimensions(Node node, Factors factors) {
    this.node = node;
    this.factors = factors;
    List<TensorType> outputs = node.outputs().stream().map(Value::type).toList();
    measure(factors.inputs(), node.inputTypes());
    measure(factors.outputs(), outputs);
    for (int round = 0; round < 3; round++) {
      divide(factors.inputs(), node.inputTypes());
      divide(factors.outputs(), outputs);
    }
    place(false, factors.inputs());
    place(true, factors.outputs());
  }

  Factors factors() {
    return factors;
  }

  /** All factors, in the order of inputs, then outputs. */
  public Set<String> names() {
    return names;
  }

  public Factors.@Nullable Mark mark(String factor) {
    return factors.marks().get(factor);
  }

  /** Whether only the op itself knows how to split the factor. */
  public boolean isOwn(String factor) {
    Factors.Mark mark = mark(factor);
    return (mark == Factors.Mark.WHOLE || mark == Factors.Mark.SCAN || mark == Factors.Mark.TOP_K)
        && !(node.op() instanceof SelfSplitting op && op.adds(factor));
  }

  /**
   * Whether an input that lacks a factor is added to what lies along it: where the factor is split,
   * the input must be parts of a sum too.
   */
  public boolean isAddedTo(String factor, int input) {
    return node.op() instanceof SelfSplitting op
        && op.adds(factor)
        && !hasInput(factor, input)
        && op.linear(node.inputTypes()).stream()
            .anyMatch(
                group ->
                    group.contains(input)
                        && group.stream().anyMatch(other -> hasInput(factor, other)));
  }

  /** The size of a factor; of a windowed one its largest. */
  public long size(String factor) {
    return sizes.getOrDefault(factor, 1L);
  }

  /** Where the factor can be split: dims that it stands outermost in. */
  public List<Place> places(String factor) {
    return places.getOrDefault(factor, List.of());
  }

  /** Whether the factor shares some dim with another, so that only even splits of it are runs. */
  boolean isGrouped(String factor) {
    return grouped.contains(factor);
  }

  /** The factor that stands outermost in a dim, if that has any. */
  public Optional<String> outermost(boolean output, int tensor, int dim) {
    return (output ? factors.outputs() : factors.inputs())
        .get(tensor).get(dim).stream()
            .filter(f -> size(f) != 1)
            .findFirst()
            .or(
                () ->
                    (output ? factors.outputs() : factors.inputs())
                        .get(tensor).get(dim).stream().findFirst());
  }

  public boolean hasInput(String factor, int input) {
    return factors.inputs().get(input).stream().anyMatch(dim -> dim.contains(factor));
  }

  public boolean hasOutput(String factor, int output) {
    return factors.outputs().get(output).stream().anyMatch(dim -> dim.contains(factor));
  }

  public boolean hasInput(String factor) {
    return factors.inputs().stream().flatMap(List::stream).anyMatch(dim -> dim.contains(factor));
  }

  public boolean hasOutput(String factor) {
    return factors.outputs().stream().flatMap(List::stream).anyMatch(dim -> dim.contains(factor));
  }

  public Node node() {
    return node;
  }

  /** The bytes of a tensor, to weigh wishes with. */
  long bytes(Place place) {
    return (place.output() ? node.output(place.tensor()) : node.input(place.tensor()))
        .type()
        .bytes();
  }

  private void measure(List<List<List<String>>> tensors, List<TensorType> types) {
    for (int tensor = 0; tensor < tensors.size(); tensor++) {
      for (int dim = 0; dim < tensors.get(tensor).size(); dim++) {
        List<String> group = tensors.get(tensor).get(dim);
        names.addAll(group);
        if (group.size() == 1) {
          sizes.merge(group.getFirst(), types.get(tensor).size(dim), Math::max);
        }
      }
    }
  }

  /** The one unknown factor of a dim is what the known ones leave. */
  private void divide(List<List<List<String>>> tensors, List<TensorType> types) {
    for (int tensor = 0; tensor < tensors.size(); tensor++) {
      for (int dim = 0; dim < tensors.get(tensor).size(); dim++) {
        var unknown = new ArrayList<String>();
        long rest = types.get(tensor).size(dim);
        for (String factor : tensors.get(tensor).get(dim)) {
          Long size = sizes.get(factor);
          if (size == null) {
            unknown.add(factor);
          } else if (size > 0) {
            rest /= size;
          }
        }
        if (unknown.size() == 1) {
          sizes.put(unknown.getFirst(), rest);
        }
      }
    }
  }

  private void place(boolean output, List<List<List<String>>> tensors) {
    for (int tensor = 0; tensor < tensors.size(); tensor++) {
      for (int dim = 0; dim < tensors.get(tensor).size(); dim++) {
        List<String> group =
            tensors.get(tensor).get(dim).stream().filter(f -> size(f) != 1).toList();
        if (group.isEmpty()) {
          group = tensors.get(tensor).get(dim).stream().limit(1).toList();
        }
        if (!group.isEmpty()) {
          places
              .computeIfAbsent(group.getFirst(), _ -> new ArrayList<>())
              .add(new Place(output, tensor, dim));
        }
        if (group.size() > 1) {
          grouped.addAll(group);
        }
      }
    }
  }
}
