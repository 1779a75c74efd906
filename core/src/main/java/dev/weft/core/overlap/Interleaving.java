package dev.weft.core.overlap;

import dev.weft.core.collective.Collective;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Orders nodes of two halves so that they take turns: a half computes until it would have to await
 * a collective that it began in this turn; then the other half goes on. What serves both halves
 * stands where it was, or right before what reads it in the half that computes, unless it would
 * await such a collective and a half can go on.
 */
final class Interleaving {
  /** The lane of what serves both halves; those of the halves are 0 and 1. */
  static final int BOTH = 2;

  private record Item(Node node, int position) {}

  private final List<Deque<Item>> lanes =
      List.of(new ArrayDeque<>(), new ArrayDeque<>(), new ArrayDeque<>());
  private final Set<Value> missing = new HashSet<>();
  private final Map<Value, Integer> begun = new HashMap<>();
  private final List<Node> ordered = new ArrayList<>();
  private int lane;
  private int turn;

  private Interleaving() {}

  /**
   * The nodes in another order.
   *
   * @param nodes in some order in which everything is made before it is read
   * @param lanes the lane of each
   */
  static List<Node> order(List<Node> nodes, List<Integer> lanes) {
    var interleaving = new Interleaving();
    for (int i = 0; i < nodes.size(); i++) {
      interleaving.lanes.get(lanes.get(i)).add(new Item(nodes.get(i), i));
      interleaving.missing.addAll(nodes.get(i).outputs());
    }
    while (interleaving.ordered.size() < nodes.size()) {
      interleaving.step();
    }
    return interleaving.ordered;
  }

  private void step() {
    @Nullable Item both = lanes.get(BOTH).peek();
    @Nullable Item own = lanes.get(lane).peek();
    @Nullable Item other = lanes.get(1 - lane).peek();
    boolean goesOn = own != null && isReady(own) && !waits(own);
    @Nullable Item next = goesOn ? own : other != null && isReady(other) ? other : null;
    if (both != null
        && isReady(both)
        && !waits(both)
        && (next == null || both.position() < next.position() || isRead(both, own))) {
      take(BOTH);
    } else if (goesOn) {
      take(lane);
    } else if (next != null) {
      lane = 1 - lane;
      turn++;
      take(lane);
    } else {
      // Nothing can run beside what is awaited now.
      turn++;
      take(first());
    }
  }

  /** Whether another item lacks what an item makes. */
  private static boolean isRead(Item item, @Nullable Item other) {
    return other != null && !Collections.disjoint(item.node().outputs(), other.node().inputs());
  }

  /** The lane whose next node came first. */
  private int first() {
    @Nullable Item first = null;
    int from = BOTH;
    for (int each = 0; each <= BOTH; each++) {
      @Nullable Item head = lanes.get(each).peek();
      if (head != null && isReady(head) && (first == null || head.position() < first.position())) {
        first = head;
        from = each;
      }
    }
    return from;
  }

  private boolean isReady(Item item) {
    return item.node().inputs().stream().noneMatch(missing::contains);
  }

  /** Whether nothing has run beside a collective yet that the node awaits. */
  private boolean waits(Item item) {
    return item.node().inputs().stream().anyMatch(v -> begun.getOrDefault(v, -1) == turn);
  }

  private void take(int from) {
    Node node = lanes.get(from).remove().node();
    ordered.add(node);
    node.outputs().forEach(missing::remove);
    if (node.op() instanceof Collective) {
      node.outputs().forEach(value -> begun.put(value, turn));
    }
  }
}
