package dev.weft.core.overlap;

import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Hoisting;
import dev.weft.core.graph.DeadCode;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.shard.Partitioned;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Sub-pipelined tensor parallelism (Lai et al., Merak, section 5.2): the rows that a device has of
 * a batch are cut in two halves, and while what the one half needs comes from other devices the
 * other half computes, forward and backward. Works on the local graph of a partitioned program, of
 * a whole model or a piece of it, where it is known what is sent; which dims are of the batch
 * follows from the factors of ops.
 *
 * <p>What the halves make of parameters' gradients is added up before it is reduced or used. What
 * an op needs of the whole batch, as a batch norm its statistics, is joined for it and cut again.
 * Random bits are those of the uncut batch. An odd number of rows gives halves of which the first
 * has one row more.
 */
public final class SubPipeline {
  private SubPipeline() {}

  /**
   * A graph in halves.
   *
   * @param graph the same inputs and outputs; the graph itself where nothing that is sent is cut
   * @param remarks what is sent whole though it has rows, a sentence
   */
  public record Cut(Graph graph, List<String> remarks) {
    public Cut {
      remarks = List.copyOf(remarks);
    }
  }

  /** A graph in halves, whether anything is sent or not; the graph itself where nothing is cut. */
  static Graph everywhere(Graph graph, Level level, Rows rows) {
    return Batch.of(graph, rows)
        .filter(batch -> batch.rows() > 1)
        .map(batch -> rewritten(graph, Halved.of(graph, batch, level)))
        .orElse(graph);
  }

  /** How many rows of the batch a device has; empty where nothing that it takes has rows. */
  public static OptionalLong rows(Graph graph, Rows rows) {
    return Batch.of(graph, rows)
        .map(batch -> OptionalLong.of(batch.rows()))
        .orElse(OptionalLong.empty());
  }

  /**
   * The local graph of a partitioned program in halves.
   *
   * @param rows where they lie in what the whole program takes
   * @throws UserException if a device has but one row
   */
  public static Cut cut(Graph graph, Level level, Rows rows) {
    return halved(graph, level, rows)
        .map(halved -> new Cut(rewritten(graph, halved), whole(graph, halved)))
        .orElse(new Cut(graph, List.of()));
  }

  /** What is said where a level cuts nothing. */
  public static String changesNothing(Level level) {
    return "sub-pipeline %d changes nothing: what devices send one another has no rows of the batch to be cut"
        .formatted(level.ordinal());
  }

  /**
   * A partitioned program in halves, its list of collectives too. Where nothing is sent that has a
   * batch the program stays, and a remark says so.
   *
   * @param rows where they lie in what the whole program takes
   * @throws UserException if a device has but one row
   */
  public static Partitioned apply(Partitioned whole, Level level, Rows rows) {
    if (level == Level.OFF) {
      return whole;
    }
    Optional<Halved> halved = halved(whole.graph(), level, rows);
    if (halved.isEmpty()) {
      return with(whole, whole.graph(), whole.collectives(), List.of(changesNothing(level)));
    }
    Map<Value, Value> halves = new HashMap<>();
    Graph graph = rewritten(whole.graph(), halved.get(), halves);
    List<CollectiveUse> uses = uses(whole, graph, halves);
    return with(whole, graph, uses, whole(whole.graph(), halved.get()));
  }

  private static Partitioned with(
      Partitioned whole, Graph graph, List<CollectiveUse> uses, List<String> more) {
    var remarks = new ArrayList<>(whole.remarks());
    remarks.addAll(more);
    return new Partitioned(
        graph, whole.mesh(), whole.inputs(), whole.outputs(), whole.propagation(), uses, remarks);
  }

  /** What is cut; empty where nothing that is sent can be. */
  private static Optional<Halved> halved(Graph graph, Level level, Rows rows) {
    if (level == Level.OFF) {
      return Optional.empty();
    }
    Optional<Batch> batch = Batch.of(graph, rows);
    if (batch.isPresent() && batch.get().rows() < 2) {
      throw new UserException(
          "sub-pipeline %d cuts the rows that a device has of a micro-batch in two, and a device has 1: choose larger or fewer micro-batches, or sub-pipeline 0"
              .formatted(level.ordinal()));
    }
    return batch
        .map(b -> Halved.of(graph, b, level))
        .filter(
            halved ->
                Collective.in(graph).stream().anyMatch(node -> halved.factor(node).isPresent()));
  }

  /** What is sent whole though rows could be told apart, in a sentence. */
  private static List<String> whole(Graph graph, Halved halved) {
    List<String> whole =
        Collective.in(graph).stream()
            .filter(node -> halved.batch().factor(node).isEmpty())
            .filter(node -> halved.batch().hasRows(node.input(0)))
            .map(node -> "the %s of %s".formatted(((Collective) node.op()).kind(), node.input(0)))
            .distinct()
            .toList();
    return whole.isEmpty()
        ? List.of()
        : List.of(
            "sub-pipeline %d leaves whole what mixes rows of devices: %s"
                .formatted(halved.level().ordinal(), String.join(", ", whole)));
  }

  private static Graph rewritten(Graph graph, Halved halved) {
    return rewritten(graph, halved, new HashMap<>());
  }

  private static Graph rewritten(Graph graph, Halved halved, Map<Value, Value> halves) {
    Graph cut = Rewriting.rewrite(Hoisting.apply(graph), halved, halves);
    return Verifier.verify("halving", DeadCode.eliminate(cut));
  }

  /**
   * What is sent, in the order of the graph in halves.
   *
   * @param halves for each half that is sent the value that it is half of
   */
  private static List<CollectiveUse> uses(
      Partitioned whole, Graph graph, Map<Value, Value> halves) {
    Map<Value, CollectiveUse> known = new HashMap<>();
    List<Node> sent = Collective.in(whole.graph());
    for (int i = 0; i < sent.size(); i++) {
      known.put(sent.get(i).output(0), whole.collectives().get(i));
    }
    var uses = new ArrayList<CollectiveUse>();
    for (Node node : Collective.in(graph)) {
      Value result = node.output(0);
      Value of = halves.getOrDefault(result, result);
      CollectiveUse use = Objects.requireNonNull(known.get(of));
      uses.add(of == result ? use : half(node, use));
    }
    return uses;
  }

  private static CollectiveUse half(Node node, CollectiveUse use) {
    Collective op = (Collective) node.op();
    return new CollectiveUse(
        op,
        node.input(0).type(),
        use.global(),
        op.bytesSent(node.inputTypes()),
        use.count(),
        use.role(),
        use.value(),
        use.source(),
        use.reason() + ", in halves");
  }
}
