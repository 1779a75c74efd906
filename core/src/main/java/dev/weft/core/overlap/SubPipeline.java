package dev.weft.core.overlap;

import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Hoisting;
import dev.weft.core.graph.DeadCode;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Repeat;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.shard.Partitioned;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Sub-pipelined tensor parallelism (Lai et al., Merak, section 5.2): the rows that a device has of
 * a batch are cut in two halves, and while what the one half needs comes from other devices the
 * other half computes, forward and backward. Works on the local graph of a partitioned program,
 * where it is known what is sent; which dims are of the batch follows from the factors of ops.
 *
 * <p>What the halves make of parameters' gradients is added up before it is reduced or used. What
 * an op needs of the whole batch, as a batch norm its statistics, is joined for it and cut again.
 * Random bits are those of the uncut batch. An odd number of rows gives halves of which the first
 * has one row more.
 */
public final class SubPipeline {
  private SubPipeline() {}

  /** A graph in halves, whether anything is sent or not; the graph itself where nothing is cut. */
  static Graph cut(Graph graph, Level level) {
    return Batch.of(graph)
        .map(batch -> rewritten(graph, Halved.of(graph, batch, level)))
        .orElse(graph);
  }

  /**
   * A partitioned program in halves, its list of collectives too. Where nothing is sent that has a
   * batch the program stays, and a remark says so.
   *
   * @throws UserException if a device has but one row
   */
  public static Partitioned apply(Partitioned whole, Level level) {
    if (level == Level.OFF) {
      return whole;
    }
    if (Batch.of(whole.graph()).isEmpty()) {
      throw new UserException(
          "sub-pipeline %d cuts the rows that a device has of a micro-batch in two, and a device has 1: choose larger or fewer micro-batches, or sub-pipeline 0"
              .formatted(level.ordinal()));
    }
    Optional<Halved> halved = halved(whole.graph(), level);
    if (halved.isEmpty()) {
      return withRemark(
          whole,
          "sub-pipeline %d changes nothing: what devices send one another has no rows of the batch to be cut"
              .formatted(level.ordinal()));
    }
    var sent = new ArrayList<Node>();
    collectives(whole.graph(), sent);
    var uses = new ArrayList<CollectiveUse>();
    for (int i = 0; i < sent.size(); i++) {
      add(uses, sent.get(i), whole.collectives().get(i), halved.get());
    }
    return new Partitioned(
        rewritten(whole.graph(), halved.get()),
        whole.mesh(),
        whole.inputs(),
        whole.outputs(),
        whole.propagation(),
        uses,
        whole.remarks());
  }

  private static Partitioned withRemark(Partitioned whole, String remark) {
    var remarks = new ArrayList<>(whole.remarks());
    remarks.add(remark);
    return new Partitioned(
        whole.graph(),
        whole.mesh(),
        whole.inputs(),
        whole.outputs(),
        whole.propagation(),
        whole.collectives(),
        remarks);
  }

  /** Whether anything is sent that could be sent in halves. */
  public static boolean applies(Graph graph) {
    return halved(graph, Level.STACK).isPresent();
  }

  /** What is cut; empty where nothing that is sent can be. */
  private static Optional<Halved> halved(Graph graph, Level level) {
    if (level == Level.OFF) {
      return Optional.empty();
    }
    var sent = new ArrayList<Node>();
    collectives(graph, sent);
    return Batch.of(graph)
        .map(batch -> Halved.of(graph, batch, level))
        .filter(halved -> sent.stream().anyMatch(node -> halved.factor(node).isPresent()));
  }

  private static Graph rewritten(Graph graph, Halved halved) {
    Graph early = Hoisting.apply(graph);
    return Verifier.verify("halving", DeadCode.eliminate(Rewriting.rewrite(early, halved)));
  }

  private static void add(List<CollectiveUse> uses, Node node, CollectiveUse use, Halved halved) {
    if (halved.factor(node).isEmpty()) {
      uses.add(use);
      return;
    }
    Value operand = node.input(0);
    int dim = halved.batch().dim(operand).orElseThrow();
    for (int half = 0; half < 2; half++) {
      TensorType local = halved.batch().half(operand.type(), dim, half);
      uses.add(
          new CollectiveUse(
              use.op(),
              local,
              use.global(),
              use.op().bytesSent(local),
              use.count(),
              use.role(),
              use.value(),
              use.source(),
              use.reason() + ", in halves"));
    }
  }

  /** The collectives of a graph, in the order in which a partitioned program lists them. */
  private static void collectives(Graph graph, List<Node> found) {
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        collectives(repeat.body(), found);
      } else if (node.op() instanceof Collective) {
        found.add(node);
      }
    }
  }
}
