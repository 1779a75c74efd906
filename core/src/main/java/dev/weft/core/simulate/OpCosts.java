package dev.weft.core.simulate;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import dev.weft.core.op.Constant;
import dev.weft.core.op.Repeat;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What the ops of a graph take on one device: each by its operations or its bytes, at the share of
 * the limit that its class reaches at that size. Views take nothing; what cannot be a view of how
 * its operand lies is copied. A product that is only added to something is added by the call that
 * makes it, which reads the other operand too, unless that comes from other devices.
 */
public final class OpCosts {
  private static final List<String> ARITHMETIC = List.of("matmul", "attention", "convolution");

  private final DeviceProfile device;
  private final Map<Value, Strided> views = new HashMap<>();
  private final Map<Value, Value> roots = new HashMap<>();
  private final Map<Value, Integer> reads = new HashMap<>();
  private final Map<Value, Node> makers = new HashMap<>();

  /** The last node that reads a value or a view of it; absent where it is kept beyond all. */
  private final Map<Value, Node> last = new HashMap<>();

  private OpCosts(DeviceProfile device) {
    this.device = device;
  }

  /**
   * The time of each op of a graph and of its rounds, by the very node. Repeats, constants and
   * views have none; a sum that the call before makes has 0. Of a collective it is what the device
   * computes: operands that lie with gaps or turned are copied first. Rounds that several repeats
   * have in common take what they take in the slowest.
   */
  public static Map<Node, Double> seconds(Graph graph, DeviceProfile device) {
    Set<Value> free = new HashSet<>();
    for (Graph.Output output : graph.outputs()) {
      Value donated = output.donated();
      if (donated != null) {
        free.add(donated);
      }
    }
    Map<Node, Double> seconds = new IdentityHashMap<>();
    new OpCosts(device).price(graph, free, seconds);
    return seconds;
  }

  /**
   * Prices all nodes.
   *
   * @param free inputs that may be written over
   */
  private void price(Graph graph, Set<Value> free, Map<Node, Double> seconds) {
    for (Node node : graph.nodes()) {
      node.inputs().forEach(value -> reads.merge(value, 1, Integer::sum));
      node.outputs().forEach(value -> makers.put(value, node));
      isView(node);
      node.inputs().forEach(value -> last.put(root(value), node));
    }
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Constant) {
        last.remove(node.output(0));
      }
    }
    for (Value value : graph.inputValues()) {
      if (!free.contains(value)) {
        last.remove(value);
      }
    }
    for (Value value : graph.outputValues()) {
      reads.merge(value, 1, Integer::sum);
      last.remove(root(value));
    }
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        new OpCosts(device).price(repeat.body(), free(node, repeat), seconds);
      } else if (!takesNothing(node)) {
        double own = node.op() instanceof Collective ? laidDense(node) : seconds(node);
        seconds.merge(node, own, Math::max);
      }
    }
  }

  /**
   * The inputs of rounds that may be written over: what goes from round to round and stays in no
   * stack, and parts of stacks that nothing else reads beside or afterwards.
   */
  private Set<Value> free(Node node, Repeat repeat) {
    List<Value> arguments = repeat.body().inputValues();
    List<Value> results = repeat.body().outputValues();
    Set<Value> free = new HashSet<>();
    for (int i = 0; i < node.inputs().size(); i++) {
      boolean over =
          i < repeat.carried()
              ? Collections.frequency(results, results.get(i)) == 1
              : repeat.isStacked(i) && isAllRead(node, root(node.input(i)));
      if (over) {
        free.add(arguments.get(i + 1));
      }
    }
    return free;
  }

  /** Whether a node is the last to read a value, and reads it once. */
  private boolean isAllRead(Node node, Value root) {
    return node.equals(last.get(root)) && uses(node, root) == 1;
  }

  private long uses(Node node, Value root) {
    return node.inputs().stream().filter(value -> root(value).equals(root)).count();
  }

  /** The time of an op by itself, its operands lying dense. */
  static double seconds(Node node, DeviceProfile device) {
    var costs = new OpCosts(device);
    costs.isView(node);
    return costs.takesNothing(node) ? 0 : costs.seconds(node);
  }

  /**
   * The time to write what no node of a graph makes but is returned: constants, inputs and views of
   * these, but for an input that is returned in its own memory.
   */
  static double copies(Graph graph, DeviceProfile device) {
    var costs = new OpCosts(device);
    Set<Value> constant = new HashSet<>();
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Constant) {
        constant.add(node.output(0));
      } else {
        costs.isView(node);
      }
    }
    Set<Value> inputs = Set.copyOf(graph.inputValues());
    double time = 0;
    for (Graph.Output output : graph.outputs()) {
      Value value = output.value();
      Value root = costs.root(value);
      if (constant.contains(root) || inputs.contains(root) && !value.equals(output.donated())) {
        long read = constant.contains(root) ? 0 : root.type().bytes();
        time +=
            device.streaming(
                DeviceProfile.OTHERS, value.dtype().text(), value.type().bytes() + read);
      }
    }
    return time;
  }

  private boolean takesNothing(Node node) {
    return node.op() instanceof Constant
        || node.outputs().isEmpty()
        || views.containsKey(node.output(0));
  }

  private double seconds(Node node) {
    String kind = kind(node);
    String dtype =
        node.inputs().isEmpty() ? node.output(0).dtype().text() : node.input(0).dtype().text();
    Optional<Added> added = added(node);
    if (added.isPresent()) {
      long bytes = bytes(node, added.get());
      return bytes == 0 ? 0 : device.streaming(kind, dtype, bytes) - device.callSeconds();
    }
    return ARITHMETIC.contains(kind)
        ? Math.max(
            device.arithmetic(kind, dtype, work(node)),
            node.cost().bytes() / device.bytesPerSecond())
        : device.streaming(kind, dtype, work(node));
  }

  /** The time to copy those operands of a node that do not lie row by row. */
  private double laidDense(Node node) {
    double time = 0;
    for (Value operand : node.inputs()) {
      Strided lies = views.get(operand);
      if (lies != null && !lies.isContiguous()) {
        time +=
            device.streaming("rearrangement", operand.dtype().text(), 2 * operand.type().bytes());
      }
    }
    return time;
  }

  /** What a product is added to by the call that makes it. */
  private record Added(Node product, Value other) {}

  /** The operands of a sum with a product that nothing else reads. */
  private Optional<Added> added(Node node) {
    if (!(node.op() instanceof Add)) {
      return Optional.empty();
    }
    for (int operand = 1; operand >= 0; operand--) {
      Value product = node.input(operand);
      Value other = node.input(1 - operand);
      Node maker = makers.get(product);
      if (maker != null
          && reads.getOrDefault(product, 0) == 1
          && maker.op().accumulate(DeviceKind.CPU, maker.inputTypes()).isPresent()
          && !comesFromOthers(other)) {
        return Optional.of(new Added(maker, other));
      }
    }
    return Optional.empty();
  }

  /** Whether other devices send a value: a product begins before that is there. */
  private boolean comesFromOthers(Value value) {
    Node maker = makers.get(root(value));
    return maker != null && maker.op() instanceof Collective;
  }

  /**
   * What is read and written for a product to be added to something: nothing where it is made onto
   * it, as a processor reads the memory that a product is written to anyway, or reads it while it
   * multiplies; where it is needed afterwards or by the product itself, is smaller, or lies turned,
   * it is copied first.
   */
  private long bytes(Node sum, Added added) {
    long bytes = sum.output(0).type().bytes();
    Value root = root(added.other());
    Strided lies = views.get(added.other());
    boolean over =
        isAllRead(sum, root)
            && uses(added.product(), root) == 0
            && root.type().bytes() == bytes
            && (lies == null || lies.isContiguous());
    return over ? 0 : 2 * bytes + Math.min(bytes, root.type().bytes());
  }

  /** The value whose memory a view lies in. */
  private Value root(Value value) {
    return roots.getOrDefault(value, value);
  }

  /** Whether an op's result lies in its operand, as that lies; remembers how. */
  private boolean isView(Node node) {
    if (node.inputs().size() != 1) {
      return false;
    }
    Value operand = node.input(0);
    Strided lies = views.getOrDefault(operand, Strided.dense(operand.shape()));
    Optional<Strided> view = node.op().view(lies);
    view.ifPresent(
        strided -> {
          views.put(node.output(0), strided);
          roots.put(node.output(0), roots.getOrDefault(operand, operand));
        });
    return view.isPresent();
  }

  /** The size of an op's work: operations where these bound it, else bytes. */
  public static double work(Node node) {
    String kind = kind(node);
    Cost cost = node.cost();
    if (ARITHMETIC.contains(kind)) {
      return cost.flops();
    }
    if (kind.equals("transcendental")) {
      // They take what their elements take, however many operands these are of.
      return 2.0 * node.output(0).type().bytes();
    }
    return moves(node)
        ? Cost.streaming(0, node.inputTypes(), node.outputs().stream().map(Value::type).toList())
            .bytes()
        : cost.bytes();
  }

  /** Whether it is an op that often is a view. */
  private static boolean moves(Node node) {
    return node.inputs().size() == 1
        && node.op().view(Strided.dense(node.input(0).shape())).isPresent();
  }

  /** The class of an op. */
  public static String kind(Node node) {
    return moves(node) ? "rearrangement" : kind(node.op().name());
  }

  /** The class of an op that is no view, by its name. */
  public static String kind(String op) {
    if (op.equals("matmul") || op.equals("einsum") || op.startsWith("linear_cross_entropy")) {
      return "matmul";
    }
    if (op.startsWith("attention")) {
      return "attention";
    }
    if (op.startsWith("convolution")) {
      return "convolution";
    }
    if (op.contains("norm") || op.contains("softmax")) {
      return "row-wise";
    }
    if (op.startsWith("gelu") || op.equals("tanh") || op.equals("exp") || op.equals("erf")) {
      return "transcendental";
    }
    if (op.equals("embedding") || op.startsWith("scatter") || op.equals("gather")) {
      return "lookup";
    }
    if (op.equals("random_bits")) {
      return "random";
    }
    return switch (op) {
      case "pad", "concat", "reshape", "transpose", "slice", "broadcast" -> "rearrangement";
      case "sum", "mean", "max", "min" -> "reduction";
      default -> DeviceProfile.OTHERS;
    };
  }
}
