package dev.weft.nn.step;

import dev.weft.core.grad.Autodiff;
import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Shard;
import dev.weft.core.stage.CutCosts;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;

/**
 * What parts of a model cost by what nodes take: the model is differentiated, and what the backward
 * takes and needs is told to the forward nodes that it is for.
 */
final class PieceCosts implements CutCosts {
  private final ToDoubleFunction<Node> seconds;
  private final double secondsPerByte;
  private final Map<String, Double> forward = new HashMap<>();
  private final Map<String, Double> backward = new HashMap<>();
  private final Map<String, Integer> nodes = new HashMap<>();
  private final Map<String, Long> kept = new HashMap<>();

  /**
   * Costs of a traced model whose first output is its loss.
   *
   * @param seconds of a node, in any unit
   * @param secondsPerByte of a value that a piece receives
   * @param accumulate whether gradients are added onto those of micro-batches before
   */
  PieceCosts(
      Graph traced, ToDoubleFunction<Node> seconds, double secondsPerByte, boolean accumulate) {
    this.seconds = seconds;
    this.secondsPerByte = secondsPerByte;
    Graph plain = Shard.erase(traced);
    addForward(plain);
    Graph gradients =
        Optimize.optimize(
            Autodiff.gradients(
                plain,
                plain.outputValues().getFirst(),
                plain.inputs(Graph.Kind.PARAMETER),
                accumulate));
    addBackward(gradients);
    Set<Value> needed = new HashSet<>();
    for (Node node : gradients.nodes()) {
      if (node.origin().role() != Role.FORWARD) {
        needed.addAll(node.inputs());
      }
    }
    addKept(gradients, needed);
  }

  private void addForward(Graph graph) {
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        addForward(repeat.body());
      } else {
        forward.merge(node.origin().forward(), seconds.applyAsDouble(node), Double::sum);
        nodes.merge(node.origin().forward(), 1, Integer::sum);
      }
    }
  }

  private void addBackward(Graph graph) {
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        addBackward(repeat.body());
      } else if (node.origin().role() != Role.FORWARD) {
        backward.merge(node.origin().forward(), seconds.applyAsDouble(node), Double::sum);
      }
    }
  }

  /** Counts the values that are needed after the forward, of a repeat those of one round. */
  private void addKept(Graph graph, Set<Value> needed) {
    for (Node node : graph.nodes()) {
      if (node.origin().role() != Role.FORWARD) {
        continue;
      }
      if (node.op() instanceof Repeat repeat) {
        Set<Value> stacked = new HashSet<>();
        for (int i = repeat.carried(); i < node.outputs().size(); i++) {
          if (needed.contains(node.output(i))) {
            stacked.add(repeat.body().outputValues().get(i));
          }
        }
        addKept(repeat.body(), stacked);
      } else {
        for (Value output : node.outputs()) {
          if (needed.contains(output)) {
            kept.merge(node.origin().forward(), output.type().bytes(), Long::sum);
          }
        }
      }
    }
  }

  @Override
  public double time(Node node) {
    String name = node.origin().forward();
    double own = forward(node);
    double all = forward.getOrDefault(name, 0.0);
    double later = backward.getOrDefault(name, 0.0);
    return own + (all > 0 ? later * own / all : later / nodes.getOrDefault(name, 1));
  }

  @Override
  public double forward(Node node) {
    return node.op() instanceof Shard ? 0 : seconds.applyAsDouble(node);
  }

  /** A value is received forward, its cotangent backward. */
  @Override
  public double receiving(TensorType type) {
    return (type.dtype().isFloat() ? 2 : 1) * type.bytes() * secondsPerByte;
  }

  @Override
  public long kept(Node node) {
    String name = node.origin().forward();
    return kept.getOrDefault(name, 0L) / nodes.getOrDefault(name, 1);
  }
}
