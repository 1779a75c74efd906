package dev.weft.core.stage;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Cast;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Shard;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Which nodes of a graph take part in deciding where it is cut. The others are cheap, and go where
 * they are needed: on several pieces they are computed several times, so that less is sent.
 */
final class Placing {
  /** Where a node is computed. */
  enum Place {
    /** Where its value is read: it follows cheaply from the batch, facts and constants. */
    ANYWHERE,
    /**
     * Where its value is read, from the value that it is a view of, or is widened from, and that
     * takes no more bytes.
     */
    READER,
    /** Where its input is made: what is taken of that is less than the whole. */
    MAKER,
    /** Where somebody decides. */
    DECIDED
  }

  /** A node of at most this many operations per element is computed again rather than sent. */
  static final double CHEAP_FLOPS = 4;

  private final Map<Node, Place> places = new HashMap<>();
  private final Map<Value, Node> producers;
  private final Set<Value> ofParameters = new HashSet<>();

  private Placing(Graph graph) {
    producers = graph.producers();
  }

  static Placing of(RepeatSplit split) {
    Graph graph = split.graph();
    var placing = new Placing(graph);
    for (Graph.Input input : graph.inputs()) {
      if (input.kind() != Graph.Kind.DATA && input.kind() != Graph.Kind.FACT) {
        placing.ofParameters.add(input.value());
      }
    }
    for (Node node : graph.nodes()) {
      Place place = placing.decide(node, split);
      placing.places.put(node, place);
      if (place == Place.ANYWHERE
          && node.inputs().stream().anyMatch(placing.ofParameters::contains)) {
        placing.ofParameters.addAll(node.outputs());
      }
    }
    return placing;
  }

  private Place decide(Node node, RepeatSplit split) {
    List<Value> inputs = node.inputs();
    boolean moves = moves(node);
    if (inputs.stream().allMatch(this::isAnywhere)) {
      // A parameter that several pieces have is dear: never for less than the same numbers.
      boolean parameters = inputs.stream().anyMatch(ofParameters::contains);
      if (parameters ? moves : isCheap(node, largest(node))) {
        return Place.ANYWHERE;
      }
    }
    if (split.stacks().contains(node)) {
      return Place.READER;
    }
    if (split.rows().containsKey(node)) {
      return Place.MAKER;
    }
    return moves && node.output(0).type().bytes() >= node.input(0).type().bytes()
        ? Place.READER
        : Place.DECIDED;
  }

  Place place(Node node) {
    Place place = places.get(node);
    if (place == null) {
      throw new IllegalArgumentException(node.outputs() + " are of another graph");
    }
    return place;
  }

  /** Whether every piece can have the value without being sent anything. */
  boolean isAnywhere(Value value) {
    Node producer = producers.get(value);
    return producer == null || places.get(producer) == Place.ANYWHERE;
  }

  /** Whether a node gives its only input's numbers, at other places or in another type. */
  private static boolean moves(Node node) {
    return node.inputs().size() == 1
        && node.outputs().size() == 1
        && (node.op() instanceof Cast
            || node.op() instanceof Shard
            || node.op().view(Strided.dense(node.input(0).shape())).isPresent());
  }

  /** Whether a node costs little for a number of elements. */
  static boolean isCheap(Node node, long elements) {
    return !(node.op() instanceof Repeat)
        && (node.op().name().equals("random_bits")
            || node.cost().flops() <= CHEAP_FLOPS * elements);
  }

  static long made(Node node) {
    return node.outputs().stream().mapToLong(v -> v.type().elements()).sum();
  }

  private static long largest(Node node) {
    long read = node.inputs().stream().mapToLong(v -> v.type().elements()).max().orElse(0);
    return Math.max(read, made(node));
  }

  /**
   * What a piece computes again rather than receives, because it follows cheaply from other values
   * that it has anyway.
   *
   * @param needs what it lacks, in the graph's order
   * @param known what it computes without being sent more than it needs
   */
  Set<Node> again(Collection<Value> needs, Set<Value> known) {
    var again = new HashSet<Node>();
    var present = new HashSet<Value>();
    for (Value value : needs) {
      var chain = new HashSet<Node>();
      long budget = (long) (CHEAP_FLOPS * value.type().elements());
      if (follows(value, v -> known.contains(v) || present.contains(v), chain, budget)) {
        again.addAll(chain);
      }
      present.add(value);
    }
    return again;
  }

  private boolean follows(Value value, Predicate<Value> present, Set<Node> chain, long budget) {
    if (present.test(value)) {
      return true;
    }
    Node producer = producers.get(value);
    if (producer == null || isAnywhere(value)) {
      return !ofParameters.contains(value);
    }
    if (chain.contains(producer)) {
      return true;
    }
    if (!isCheap(producer, made(producer)) || producer.cost().flops() > budget) {
      return false;
    }
    chain.add(producer);
    long rest = budget - (long) producer.cost().flops();
    return producer.inputs().stream().allMatch(v -> follows(v, present, chain, rest));
  }
}
