package dev.weft.core.shard;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.AllToAll;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.OnFirst;
import dev.weft.core.collective.Permute;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.collective.TileSlice;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.PriorityQueue;
import java.util.Set;

/**
 * The cheapest way from one layout of a tensor to another inside a mesh: a chain of slices,
 * permutes, all-to-alls, all-gathers, all-reduces and reduce-scatters, found by Dijkstra's
 * algorithm over layouts. Chains are compared by the bytes that a device sends, then by the number
 * of collectives. This is the one price of communication: what it says is what is emitted.
 */
public final class Resharding {
  /**
   * One step of a chain.
   *
   * @param op what is applied to the local tensor
   * @param layout the tensor's layout after it
   * @param bytes that a device sends
   */
  public record Step(Op op, Layout layout, long bytes) {}

  /** A chain of steps and the bytes that a device sends in all of them. */
  public record Chain(List<Step> steps, long bytes) {
    /** What chains are compared by: bytes first, then the number of collectives. */
    double cost() {
      double rounds = 0;
      for (Step step : steps) {
        // A tensor made partial must be folded again: not for nothing. But scalars are: a number
        // added to parts of a sum is folded with them, and sums of several need one reduction.
        boolean parts = step.op() instanceof OnFirst && step.layout().rank() > 0;
        rounds += step.op() instanceof Collective ? 1 : parts ? 1000 : 0;
      }
      return price(bytes, rounds);
    }
  }

  private record Key(TensorType type, Layout from, Layout to) {}

  private record Open(Layout layout, double cost, int order, Chain chain) {}

  /** Weighs the number of collectives among chains of equal bytes. */
  private static final double ROUND = 1e-3;

  /** Exact permutes are weighed up to so many pairs of members. */
  private static final int MANY = 1 << 18;

  private final Mesh mesh;
  private final Map<Key, Chain> known = new HashMap<>();

  public Resharding(Mesh mesh) {
    this.mesh = mesh;
  }

  /** The one price of sending so many bytes in so many collectives, in bytes. */
  static double price(double bytes, double collectives) {
    return bytes + ROUND * collectives;
  }

  /** The type of a device's part of a tensor. */
  public TensorType local(TensorType type, Layout layout) {
    return type.tile(layout, mesh);
  }

  /**
   * The cheapest chain. A partial layout as the goal may ask for foldings that the start has not:
   * the first device along the axis then keeps the tensor.
   *
   * @param type of the whole tensor
   * @throws IllegalStateException if there is no chain: foldings of two kinds at a time
   */
  public Chain chain(TensorType type, Layout from, Layout to) {
    if (from.equals(to)) {
      return new Chain(List.of(), 0);
    }
    var key = new Key(type, from, to);
    Chain chain = known.get(key);
    if (chain == null) {
      chain = search(type, from, to);
      known.put(key, chain);
    }
    return chain;
  }

  private Chain search(TensorType type, Layout from, Layout to) {
    var open =
        new PriorityQueue<Open>(
            (a, b) ->
                a.cost() != b.cost()
                    ? Double.compare(a.cost(), b.cost())
                    : Integer.compare(a.order(), b.order()));
    Set<Layout> done = new HashSet<>();
    int order = 0;
    open.add(new Open(from, 0, order++, new Chain(List.of(), 0)));
    while (!open.isEmpty()) {
      Open best = open.poll();
      if (best.layout().equals(to)) {
        return best.chain();
      }
      if (!done.add(best.layout())) {
        continue;
      }
      for (Step step : steps(type, best.layout(), to)) {
        if (!done.contains(step.layout())) {
          var steps = new ArrayList<>(best.chain().steps());
          steps.add(step);
          var chain = new Chain(List.copyOf(steps), best.chain().bytes() + step.bytes());
          open.add(new Open(step.layout(), chain.cost(), order++, chain));
        }
      }
    }
    throw new IllegalStateException("no way from " + from + " to " + to + " for " + type);
  }

  /** Every single step from a layout that may lead to the goal. */
  private List<Step> steps(TensorType type, Layout at, Layout to) {
    var steps = new ArrayList<Step>();
    TensorType local = local(type, at);
    reduce(steps, type, local, at, to);
    Set<String> taken = new LinkedHashSet<>(at.splitAxes());
    for (int dim = 0; dim < at.rank(); dim++) {
      List<String> own = at.axes(dim);
      List<String> goal = to.axes(dim);
      if (isPrefix(own, goal) && own.size() < goal.size()) {
        String next = goal.get(own.size());
        if (!taken.contains(next) && !at.partial().containsKey(next)) {
          var op = new TileSlice(mesh.select(List.of(next)), dim);
          steps.add(new Step(op, at.with(dim, appended(own, List.of(next))), 0));
        }
      }
      if (!own.isEmpty() && !isPrefix(own, goal)) {
        gather(steps, type, local, at, to, dim);
      }
    }
    if (!at.isPartial() || at.partial().equals(to.partial())) {
      permute(steps, type, local, at, to);
    }
    for (Map.Entry<String, Folding> wanted : to.partial().entrySet()) {
      String axis = wanted.getKey();
      if (!at.partial().containsKey(axis) && !taken.contains(axis)) {
        var partial = new HashMap<>(at.partial());
        partial.put(axis, wanted.getValue());
        var op = new OnFirst(mesh.select(List.of(axis)), wanted.getValue().identity());
        steps.add(new Step(op, at.withPartial(partial), 0));
      }
    }
    return steps;
  }

  private void reduce(List<Step> steps, TensorType type, TensorType local, Layout at, Layout to) {
    var outstanding =
        at.partial().keySet().stream()
            .filter(a -> at.partial().get(a) != to.partial().get(a))
            .sorted()
            .toList();
    if (outstanding.isEmpty()) {
      return;
    }
    Folding folding = Objects.requireNonNull(at.partial().get(outstanding.getFirst()));
    for (List<String> axes : subsets(inMeshOrder(outstanding))) {
      var op = new AllReduce(mesh.select(axes), folding);
      steps.add(new Step(op, without(at, axes), op.bytesSent(local)));
    }
    for (int dim = 0; dim < at.rank(); dim++) {
      List<String> own = at.axes(dim);
      List<String> goal = to.axes(dim);
      if (!isPrefix(own, goal)) {
        continue;
      }
      for (int end = own.size() + 1; end <= goal.size(); end++) {
        List<String> axes = goal.subList(own.size(), end);
        if (!outstanding.containsAll(axes)) {
          break;
        }
        var op = new ReduceScatter(mesh.select(axes), dim, folding);
        Layout after = without(at, axes).with(dim, appended(own, axes));
        steps.add(new Step(op, after, op.bytesSent(local)));
      }
    }
  }

  private void gather(
      List<Step> steps, TensorType type, TensorType local, Layout at, Layout to, int dim) {
    List<String> own = at.axes(dim);
    for (int keep = own.size() - 1; keep >= 0; keep--) {
      List<String> moved = own.subList(keep, own.size());
      Layout rest = at.with(dim, own.subList(0, keep));
      long size = Tiles.of(type.size(dim), mesh.select(rest.axes(dim))).room();
      var op = new AllGather(mesh.select(moved), dim, size);
      steps.add(new Step(op, rest, op.bytesSent(local)));
      for (int other = 0; other < at.rank(); other++) {
        List<String> goal = to.axes(other);
        List<String> there = at.axes(other);
        List<String> joined = appended(there, moved);
        if (other != dim && isPrefix(joined, goal)) {
          var move = new AllToAll(mesh.select(moved), other, dim, size);
          steps.add(new Step(move, rest.with(other, joined), move.bytesSent(local)));
        }
      }
      if (isPrefix(own.subList(0, keep), to.axes(dim))) {
        break;
      }
    }
  }

  /** Straight to the goal, where that is not a mere slice or gather. */
  private void permute(List<Step> steps, TensorType type, TensorType local, Layout at, Layout to) {
    Set<String> names = new LinkedHashSet<>(at.splitAxes());
    boolean moves = false;
    for (int dim = 0; dim < at.rank(); dim++) {
      moves |= !isPrefix(at.axes(dim), to.axes(dim));
    }
    names.addAll(to.splitAxes());
    for (String axis : to.splitAxes()) {
      if (at.partial().containsKey(axis)) {
        return;
      }
    }
    List<MeshAxis> axes = mesh.axes().stream().filter(axis -> names.contains(axis.name())).toList();
    long members = 1;
    for (MeshAxis axis : axes) {
      members *= axis.size();
    }
    boolean gathersOnly = true;
    for (int dim = 0; dim < at.rank(); dim++) {
      gathersOnly &= isPrefix(to.axes(dim), at.axes(dim));
    }
    if (!moves || gathersOnly || members * members > MANY) {
      return;
    }
    var op = new Permute(axes, type.shape(), at.spec(), to.spec());
    Layout after = new Layout(to.dims(), at.partial());
    steps.add(new Step(op, after, op.bytesSent(local)));
  }

  private static Layout without(Layout layout, List<String> axes) {
    var partial = new HashMap<>(layout.partial());
    axes.forEach(partial::remove);
    return layout.withPartial(partial);
  }

  private List<String> inMeshOrder(List<String> names) {
    return mesh.axes().stream().map(MeshAxis::name).filter(names::contains).toList();
  }

  /** All subsets but the empty one, larger ones first. */
  private static List<List<String>> subsets(List<String> names) {
    var subsets = new ArrayList<List<String>>();
    for (int bits = (1 << names.size()) - 1; bits > 0; bits--) {
      var subset = new ArrayList<String>();
      for (int i = 0; i < names.size(); i++) {
        if ((bits >> i & 1) == 1) {
          subset.add(names.get(i));
        }
      }
      subsets.add(subset);
    }
    subsets.sort((a, b) -> Integer.compare(b.size(), a.size()));
    return subsets;
  }

  static boolean isPrefix(List<String> start, List<String> whole) {
    return start.size() <= whole.size() && whole.subList(0, start.size()).equals(start);
  }

  private static List<String> appended(List<String> axes, List<String> more) {
    var all = new ArrayList<>(axes);
    all.addAll(more);
    return List.copyOf(all);
  }
}
