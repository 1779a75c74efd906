package dev.weft.core.overlap;

import dev.weft.core.collective.Collective;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Cast;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Reshape;
import dev.weft.core.op.Transpose;
import dev.weft.core.shard.Dimensions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Which nodes of a graph, and in the bodies of its repeats, are computed in halves. */
final class Halved {
  private final Batch batch;
  private final Level level;

  /** The factor of each node that is computed in halves, by its first result. */
  private final Map<Value, String> factors = new HashMap<>();

  private Halved(Batch batch, Level level) {
    this.batch = batch;
    this.level = level;
  }

  static Halved of(Graph graph, Batch batch, Level level) {
    var halved = new Halved(batch, level);
    halved.choose(graph);
    return halved;
  }

  Batch batch() {
    return batch;
  }

  Level level() {
    return level;
  }

  /** The factor along which a node is computed in halves. */
  Optional<String> factor(Node node) {
    return node.outputs().isEmpty()
        ? Optional.empty()
        : Optional.ofNullable(factors.get(node.output(0)));
  }

  /** Whether the halves of what a repeat carries go from round to round apart. */
  boolean carriesHalves(Node node, int carried) {
    Repeat repeat = (Repeat) node.op();
    Value argument = repeat.body().inputValues().get(carried + 1);
    Value result = repeat.body().outputValues().get(carried);
    if (level != Level.STACK || batch.dim(argument).isEmpty()) {
      return false;
    }
    for (Value value : List.of(node.input(carried), node.output(carried), result)) {
      if (!batch.dim(value).equals(batch.dim(argument))) {
        return false;
      }
    }
    return repeat.body().nodes().stream()
        .anyMatch(inner -> inner.outputs().contains(result) && makesHalves(inner, result));
  }

  private boolean makesHalves(Node node, Value output) {
    int index = node.outputs().indexOf(output);
    if (node.op() instanceof Repeat repeat) {
      return index < repeat.carried() && carriesHalves(node, index);
    }
    return factor(node).isPresent()
        && LocalFactors.exchanged(node).hasOutput(factor(node).orElseThrow(), index);
  }

  private void choose(Graph graph) {
    if (level == Level.LINEAR) {
      chooseProducts(graph);
    } else {
      for (Node node : graph.nodes()) {
        batch.factor(node).ifPresent(factor -> factors.put(node.output(0), factor));
      }
    }
    for (Node node : graph.nodes()) {
      node.op().bodies().forEach(this::choose);
    }
  }

  /** Collectives, and what makes their operands, back to a product. */
  private void chooseProducts(Graph graph) {
    Map<Value, Node> producers = graph.producers();
    for (Node node : graph.nodes()) {
      if (!(node.op() instanceof Collective) || batch.factor(node).isEmpty()) {
        continue;
      }
      var found = new ArrayList<Node>();
      var seen = new HashSet<Value>();
      boolean product = false;
      var open = new ArrayList<Node>(List.of(node));
      while (!open.isEmpty()) {
        Node next = open.removeLast();
        if (!seen.add(next.output(0))) {
          continue;
        }
        found.add(next);
        if (isProduct(next)) {
          product = true;
          continue;
        }
        for (Value input : next.inputs()) {
          Node producer = producers.get(input);
          if (producer != null && (isProduct(producer) || isLight(producer)) && keeps(producer)) {
            open.add(producer);
          }
        }
      }
      if (product) {
        found.forEach(n -> factors.put(n.output(0), batch.factor(n).orElseThrow()));
      }
    }
  }

  /** Whether a node can be computed in halves, and gives halves. */
  private boolean keeps(Node node) {
    Optional<String> factor = batch.factor(node);
    return factor.isPresent() && LocalFactors.exchanged(node).hasOutput(factor.get(), 0);
  }

  /** Whether a node adds up products of two operands' elements. */
  private static boolean isProduct(Node node) {
    if (node.op() instanceof Collective
        || node.op() instanceof Repeat
        || node.inputs().size() < 2
        || node.op().linear(node.inputTypes()).size() < 2) {
      return false;
    }
    Dimensions known = LocalFactors.exchanged(node);
    return known.names().stream().anyMatch(f -> known.hasInput(f) && !known.hasOutput(f));
  }

  /** Whether a node only hands on, or sums up, what products make. */
  private static boolean isLight(Node node) {
    return switch (node.op()) {
      case Reshape _, Transpose _, Cast _, dev.weft.core.op.Add _ -> true;
      default -> false;
    };
  }
}
