package dev.weft.core.shard;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Layout;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import dev.weft.core.op.Cast;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.ScatterAdd;
import dev.weft.core.op.Shard;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Which sums a graph may leave as parts: those that it hands on as parts, and those that are added
 * to parts, which will be reduced in any case. A narrow sum that is widened on its way there is not
 * to be reduced first, though that sends fewer bytes: accumulators are reduced once for all that is
 * added to them.
 */
final class KeptParts {
  /** Whether a graph may give an output as parts over an axis. */
  @FunctionalInterface
  interface Results {
    boolean maybeParts(int output, String axis);
  }

  private final BodyPartitioner body;
  private final Results results;
  private final List<Value> outputs;
  private final Map<Value, List<Node>> readers;
  private final Map<Value, Node> producers;

  KeptParts(BodyPartitioner body, Graph graph, Results results) {
    this.body = body;
    this.results = results;
    this.outputs = graph.outputValues();
    this.readers = graph.consumers();
    this.producers = graph.producers();
  }

  /**
   * A layout for what a node makes: the one that is wanted, and over the axes along which nothing
   * reduces the parts of a widened sum, those parts.
   *
   * @param made what the node would make the value in
   */
  Layout goal(Node node, Layout made, Layout wanted) {
    if (!made.isPartial() || !widens(node)) {
      return wanted;
    }
    Layout goal = wanted;
    for (Map.Entry<String, Folding> part : made.partial().entrySet()) {
      String axis = part.getKey();
      if (!body.isReducedAnyway(node.input(0), axis) && stays(node.output(0), axis)) {
        goal = partial(goal, axis, part.getValue());
      }
    }
    return goal;
  }

  private static Layout partial(Layout layout, String axis, Folding folding) {
    Layout result = layout;
    for (int dim = 0; dim < layout.rank(); dim++) {
      result = result.with(dim, layout.axes(dim).stream().filter(a -> !a.equals(axis)).toList());
    }
    Map<String, Folding> partial = new HashMap<>(layout.partial());
    partial.put(axis, folding);
    return result.withPartial(partial);
  }

  /** Whether the node is a cast of floats to a wider type, which is exact: no part is rounded. */
  private static boolean widens(Node node) {
    return node.op() instanceof Cast(var to)
        && to.isFloat()
        && node.input(0).dtype().isFloat()
        && node.input(0).dtype().bytes() < to.bytes();
  }

  /** Whether nothing that reads a value needs its parts reduced here. */
  boolean stays(Value value, String axis) {
    List<Node> reading = readers.getOrDefault(value, List.of());
    boolean isResult = false;
    for (int i = 0; i < outputs.size(); i++) {
      if (outputs.get(i) == value) {
        isResult = true;
        if (!results.maybeParts(i, axis)) {
          return false;
        }
      }
    }
    return (isResult || !reading.isEmpty())
        && reading.stream().allMatch(reader -> passesOn(reader, value, axis));
  }

  private boolean passesOn(Node reader, Value value, String axis) {
    switch (reader.op()) {
      case Repeat _ -> {
        return false;
      }
      case Shard _ -> {
        return reader.origin().role() != Role.FORWARD && stays(reader.output(0), axis);
      }
      default -> {
        boolean ontoParts =
            reader.op() instanceof Add
                && reader.inputs().stream().anyMatch(v -> v != value && isParts(v, axis));
        if (ontoParts) {
          return true;
        }
        // A base is added to as parts wherever what is added comes of rows that are split.
        boolean isBase = reader.op() instanceof ScatterAdd && reader.input(0) == value;
        if (!isBase && !body.takesParts(reader, value, axis)) {
          return false;
        }
        // What makes a sum larger had better be given it reduced; what rounds, too.
        boolean rounds = reader.op() instanceof Cast && !widens(reader);
        boolean grows = reader.output(0).type().elements() > value.type().elements();
        return !rounds && !grows && stays(reader.output(0), axis);
      }
    }
  }

  /** Whether a value lies as parts only, or is going to be made of such. */
  private boolean isParts(Value value, String axis) {
    if (body.isMade(value)) {
      return body.versions(value).stream().allMatch(v -> v.layout().partial().containsKey(axis));
    }
    @Nullable Node producer = producers.get(value);
    return producer != null
        && switch (producer.op()) {
          case Shard _, ScatterAdd _ -> isParts(producer.input(0), axis);
          case Add _ -> producer.inputs().stream().anyMatch(v -> isParts(v, axis));
          default -> false;
        };
  }
}
