package dev.weft.core.grad;

import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Constant;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Shard;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What must be kept where nodes are parted into earlier and later ones: of what the later part
 * needs, that which it cannot make again cheaply, from views, masks, random bits and casts of what
 * both parts have.
 */
public final class Residuals {
  /** Cheaper than this many operations per element of the output, a node is made again. */
  private static final double CHEAP_FLOPS = 4;

  private final Map<Value, Node> producers = new HashMap<>();
  private final Set<Value> needed;
  private final Set<Value> free;
  private final Set<Value> saved = new LinkedHashSet<>();
  private final Set<Node> again = Collections.newSetFromMap(new java.util.IdentityHashMap<>());
  private final Map<Value, Boolean> derivable = new HashMap<>();

  private Residuals(List<Node> early, Set<Value> needed, Set<Value> free) {
    for (Node node : early) {
      node.outputs().forEach(v -> producers.put(v, node));
    }
    this.needed = needed;
    this.free = free;
  }

  /**
   * Chooses what is kept.
   *
   * @param early the earlier nodes, in order
   * @param held what only the earlier part has of others
   * @param needed what the later part reads, in an order that decides that of what is kept
   * @param free what both parts have
   */
  public static Residuals between(
      List<Node> early, Set<Value> held, Collection<Value> needed, Set<Value> free) {
    var residuals = new Residuals(early, new LinkedHashSet<>(needed), free);
    for (Value value : residuals.needed) {
      if (residuals.producers.containsKey(value) || held.contains(value)) {
        residuals.obtain(value);
      }
    }
    return residuals;
  }

  /** What is kept. */
  public Set<Value> saved() {
    return Collections.unmodifiableSet(saved);
  }

  /** The earlier nodes that the later part computes again. */
  public Set<Node> again() {
    return Collections.unmodifiableSet(again);
  }

  /**
   * The same, and what follows cheaply from kept values is made again too: that takes work in the
   * later part where it saves memory.
   */
  public Set<Value> fewest() {
    var fewest = new LinkedHashSet<>(saved);
    for (Value value : List.copyOf(saved).reversed()) {
      Node producer = producers.get(value);
      if (producer == null || !isCheap(producer) || producer.op() instanceof Collective) {
        continue;
      }
      boolean follows =
          producer.inputs().stream()
              .allMatch(v -> isDerivable(v) || (v != value && fewest.contains(v)));
      if (follows) {
        fewest.remove(value);
      }
    }
    return fewest;
  }

  /** Decides whether the later part makes a value again or finds it kept. */
  private void obtain(Value value) {
    if (free.contains(value) || saved.contains(value)) {
      return;
    }
    Node producer = producers.get(value);
    if (producer != null && again.contains(producer)) {
      return;
    }
    if (producer == null || !(isDerivable(value) || isView(producer))) {
      saved.add(value);
      return;
    }
    again.add(producer);
    producer.inputs().forEach(this::obtain);
  }

  /** Whether a value follows cheaply from what both parts have. */
  private boolean isDerivable(Value value) {
    if (free.contains(value)) {
      return true;
    }
    Boolean decided = derivable.get(value);
    if (decided != null) {
      return decided;
    }
    Node producer = producers.get(value);
    boolean cheap =
        producer != null
            && isCheap(producer)
            && producer.inputs().stream().allMatch(this::isDerivable);
    derivable.put(value, cheap);
    return cheap;
  }

  /** What was gathered may be gathered again rather than kept; sums over devices are not. */
  private static boolean isCheap(Node node) {
    if (node.op() instanceof Repeat
        || (node.op() instanceof Collective && !(node.op() instanceof AllGather))) {
      return false;
    }
    long elements = node.outputs().stream().mapToLong(v -> v.type().elements()).sum();
    return node.op().name().equals("random_bits") || node.cost().flops() <= CHEAP_FLOPS * elements;
  }

  /**
   * Whether the node moves no data where its input is dense. An annotation may: what it was put on
   * is saved as it is behind it, unless it is needed before it, too.
   */
  private boolean isView(Node node) {
    Op op = node.op();
    if (op instanceof Shard) {
      Node before = producers.get(node.input(0));
      return needed.contains(node.input(0))
          || (before != null && before.op() instanceof Shard && isView(before));
    }
    return op instanceof Constant
        || (node.inputs().size() == 1 && op.view(Strided.dense(node.input(0).shape())).isPresent());
  }
}
