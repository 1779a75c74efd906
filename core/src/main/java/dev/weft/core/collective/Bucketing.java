package dev.weft.core.collective;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Has devices reduce many tensors in few collectives that begin early (Li et al., PyTorch
 * Distributed, section 3.2: gradients in buckets, by the order in which the backward makes them).
 * Every tensor is folded as before, element by element; none is folded twice or waits for more than
 * the others of its bucket.
 *
 * <p>What the rounds of a repeat stack up only to be reduced is reduced round by round, unless that
 * is too little to be worth a collective and all of it fits into one bucket. Then reductions over
 * the same axes that follow one another become one {@link Bucket}, at the place of the last, as
 * long as nobody in between reads a result, no rounds lie in between, and the limit holds. A tensor
 * above the limit is a bucket by itself.
 */
public final class Bucketing {
  /** A bucket of less than this part of the limit is not worth beginning early. */
  private static final int LEAST_SHARE = 16;

  private final long limit;

  private Bucketing(long limit) {
    this.limit = limit;
  }

  /**
   * The program of all devices, with its reductions in buckets.
   *
   * @param limit the most bytes of operands, on each device, of a bucket of more than one tensor
   */
  public static Graph apply(Graph graph, Bytes limit) {
    var bucketing = new Bucketing(limit.count());
    return Verifier.verify("bucketing", bucketing.grouped(bucketing.byRounds(graph)));
  }

  /**
   * A stacked output of a repeat that is only reduced.
   *
   * @param output its number
   * @param reductions one behind the other
   */
  private record Stacked(int output, List<Node> reductions) {
    Value result() {
      return reductions.getLast().output(0);
    }

    long bytes() {
      return reductions.getFirst().input(0).type().bytes();
    }
  }

  /** Reduces slices in the rounds that make them, in place of their stack. */
  private Graph byRounds(Graph graph) {
    Map<Value, List<Node>> readers = graph.consumers();
    Set<Value> returned = new HashSet<>(graph.outputValues());
    Set<Node> gone = new HashSet<>();
    var nodes = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      if (gone.contains(node)) {
        continue;
      }
      if (node.op() instanceof Repeat repeat) {
        var stacked = new ArrayList<Stacked>();
        for (int i = repeat.carried(); i < node.outputs().size(); i++) {
          List<Node> reductions = reductions(node.output(i), readers, returned);
          if (!reductions.isEmpty()) {
            stacked.add(new Stacked(i, reductions));
          }
        }
        long bytes = stacked.stream().mapToLong(Stacked::bytes).sum();
        if (bytes <= limit && bytes / repeat.count() < limit / LEAST_SHARE) {
          stacked.clear();
        }
        stacked.forEach(s -> gone.addAll(s.reductions()));
        nodes.add(inRounds(node, repeat, stacked));
      } else {
        nodes.add(node);
      }
    }
    return new Graph(graph.name(), graph.inputs(), nodes, graph.outputs());
  }

  /** What reduces a stack, one behind the other, where nobody else reads it. */
  private static List<Node> reductions(
      Value stack, Map<Value, List<Node>> readers, Set<Value> returned) {
    var reductions = new ArrayList<Node>();
    Value value = stack;
    while (!returned.contains(value)) {
      List<Node> all = readers.getOrDefault(value, List.of());
      if (all.size() != 1 || !(all.getFirst().op() instanceof Reducing reducing)) {
        break;
      }
      if (reducing instanceof ReduceScatter scatter && scatter.dim() == 0) {
        break;
      }
      reductions.add(all.getFirst());
      value = all.getFirst().output(0);
    }
    return reductions;
  }

  private Node inRounds(Node node, Repeat repeat, List<Stacked> stacked) {
    Graph body = repeat.body();
    Map<Value, List<Node>> added = new HashMap<>();
    var results = new ArrayList<>(body.outputs());
    var outputs = new ArrayList<>(node.outputs());
    var names = new HashSet<String>();
    body.inputValues().forEach(value -> names.add(value.name()));
    body.nodes().forEach(inner -> inner.outputs().forEach(value -> names.add(value.name())));
    for (Stacked each : stacked) {
      Value slice = body.outputs().get(each.output()).value();
      List<Node> behind = added.computeIfAbsent(slice, _ -> new ArrayList<>());
      Value value = slice;
      for (Node reduction : each.reductions()) {
        Op op =
            reduction.op() instanceof ReduceScatter scatter
                ? new ReduceScatter(scatter.axes(), scatter.dim() - 1, scatter.folding())
                : reduction.op();
        TensorType type = op.infer(List.of(value.type())).getFirst();
        String name = slice.name() + "." + op.name();
        while (!names.add(name)) {
          name += "_";
        }
        Value result = new Value(name, type);
        behind.add(new Node(op, List.of(value), List.of(result), reduction.origin()));
        value = result;
      }
      results.set(each.output(), new Graph.Output(value, null));
      outputs.set(each.output(), each.result());
    }
    var nodes = new ArrayList<Node>();
    body.inputValues().forEach(value -> nodes.addAll(added.getOrDefault(value, List.of())));
    for (Node inner : body.nodes()) {
      nodes.add(inner);
      inner.outputs().forEach(value -> nodes.addAll(added.getOrDefault(value, List.of())));
    }
    Graph changed = byRounds(new Graph(body.name(), body.inputs(), nodes, results));
    return new Node(repeat.withBody(changed), node.inputs(), outputs, node.origin());
  }

  private record Key(List<MeshAxis> axes, Folding folding) {}

  /** Reductions that may become one. */
  private static final class Group {
    private final List<Node> members = new ArrayList<>();
    private final Set<Value> results = new HashSet<>();
    private boolean awaited;
    private long bytes;

    void add(Node node, boolean isAwaited) {
      awaited |= isAwaited;
      members.add(node);
      results.addAll(node.outputs());
      bytes += node.input(0).type().bytes();
    }

    Node bucket() {
      if (members.size() == 1) {
        return members.getFirst();
      }
      Reducing first = (Reducing) members.getFirst().op();
      var dims = new ArrayList<Integer>();
      var inputs = new ArrayList<Value>();
      var outputs = new ArrayList<Value>();
      for (Node member : members) {
        dims.add(member.op() instanceof ReduceScatter scatter ? scatter.dim() : Bucket.WHOLE);
        inputs.add(member.input(0));
        outputs.add(member.output(0));
      }
      var op = new Bucket(first.axes(), first.folding(), dims);
      return new Node(op, inputs, outputs, members.getFirst().origin());
    }
  }

  private Graph grouped(Graph graph) {
    return grouped(graph, 0);
  }

  /**
   * The graph with reductions in buckets.
   *
   * @param carried how many of its first results the next round takes
   */
  private Graph grouped(Graph graph, int carried) {
    List<Node> nodes = late(graph);
    Set<Value> awaited = awaited(nodes, graph.outputValues().subList(0, carried));
    Map<Node, Group> last = new HashMap<>();
    Set<Node> members = new HashSet<>();
    Map<Key, Group> open = new LinkedHashMap<>();
    for (Node node : nodes) {
      boolean rounds = node.op() instanceof Repeat;
      boolean work = !rounds && Postponing.isWork(node);
      open.values()
          .removeIf(
              g ->
                  rounds
                      || (work && g.awaited)
                      || node.inputs().stream().anyMatch(g.results::contains));
      if (!(node.op() instanceof Reducing op) || op.members() == 1) {
        continue;
      }
      var key = new Key(op.axes(), op.folding());
      Group group = open.get(key);
      if (group == null || group.bytes + node.input(0).type().bytes() > limit) {
        group = new Group();
        open.put(key, group);
      } else {
        last.remove(group.members.getLast());
      }
      group.add(node, awaited.contains(node.output(0)));
      members.add(node);
      last.put(node, group);
    }
    var results = new ArrayList<Node>();
    for (Node node : nodes) {
      Group group = last.get(node);
      if (group != null) {
        results.add(group.bucket());
      } else if (node.op() instanceof Repeat repeat) {
        Repeat inner = repeat.withBody(grouped(repeat.body(), repeat.carried()));
        results.add(new Node(inner, node.inputs(), node.outputs(), node.origin()));
      } else if (!members.contains(node)) {
        results.add(node);
      }
    }
    return new Graph(graph.name(), graph.inputs(), results, graph.outputs());
  }

  /** What something waits for that is not at the end: what goes on from the result. */
  public static Set<Value> awaited(List<Node> nodes, List<Value> carried) {
    Set<Value> read = new HashSet<>();
    nodes.forEach(node -> read.addAll(node.inputs()));
    Set<Value> awaited = new HashSet<>(carried);
    for (Node node : nodes.reversed()) {
      boolean goesOn =
          node.op() instanceof Collective
              ? node.outputs().stream().anyMatch(awaited::contains)
              : node.outputs().stream().anyMatch(read::contains);
      if (goesOn) {
        awaited.addAll(node.inputs());
      }
    }
    return awaited;
  }

  /**
   * The nodes, those last that nothing but the end of the graph waits for and that wait for a
   * reduction themselves: what adds a reduced gradient onto others.
   */
  private static List<Node> late(Graph graph) {
    Map<Value, List<Node>> readers = graph.consumers();
    Set<Value> reduced = new HashSet<>();
    var first = new ArrayList<Node>();
    var late = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      boolean collective = node.op() instanceof Collective;
      if (node.op() instanceof Reducing) {
        reduced.addAll(node.outputs());
      }
      boolean ends = node.outputs().stream().noneMatch(readers::containsKey);
      if (ends && !collective && node.inputs().stream().anyMatch(reduced::contains)) {
        late.add(node);
      } else {
        first.add(node);
      }
    }
    first.addAll(late);
    return first;
  }
}
