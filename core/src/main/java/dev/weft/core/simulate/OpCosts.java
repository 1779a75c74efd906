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
 * makes it, which reads the other operand too.
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
   * The time of each op of a graph and of its rounds, by the very node; repeats have none of their
   * own. Of a collective it is what the device computes: operands that lie with gaps or turned are
   * copied first.
   */
  public static Map<Node, Double> seconds(Graph graph, DeviceProfile device) {
    Set<Value> free = new HashSet<>();
    for (Graph.Input input : graph.inputs()) {
      if (input.kind() != Graph.Kind.PARAMETER && input.kind() != Graph.Kind.DATA) {
        free.add(input.value());
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
      } else {
        seconds.put(node, node.op() instanceof Collective ? laidDense(node) : seconds(node));
      }
    }
  }

  /**
   * The inputs of rounds that may be written over: what goes from round to round, and parts of
   * stacks that nothing reads afterwards.
   */
  private Set<Value> free(Node node, Repeat repeat) {
    List<Value> arguments = repeat.body().inputValues();
    Set<Value> free = new HashSet<>();
    for (int i = 0; i < node.inputs().size(); i++) {
      if (i < repeat.carried()
          || repeat.isStacked(i) && node.equals(last.get(root(node.input(i))))) {
        free.add(arguments.get(i + 1));
      }
    }
    return free;
  }

  /** The time of an op by itself, its operands lying dense. */
  static double seconds(Node node, DeviceProfile device) {
    var costs = new OpCosts(device);
    costs.isView(node);
    return costs.seconds(node);
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

  private double seconds(Node node) {
    if (node.op() instanceof Constant
        || node.outputs().isEmpty()
        || views.containsKey(node.output(0))) {
      return 0;
    }
    String kind = kind(node);
    String dtype =
        node.inputs().isEmpty() ? node.output(0).dtype().text() : node.input(0).dtype().text();
    Optional<Value> added = added(node);
    if (added.isPresent()) {
      long bytes = addedBytes(node, added.get());
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

  /** The other operand of a sum with a product that nothing else reads. */
  private Optional<Value> added(Node node) {
    if (!(node.op() instanceof Add)) {
      return Optional.empty();
    }
    for (int operand = 1; operand >= 0; operand--) {
      Value product = node.input(operand);
      Node maker = makers.get(product);
      if (maker != null && reads.getOrDefault(product, 0) == 1 && adds(maker, product)) {
        return Optional.of(node.input(1 - operand));
      }
    }
    return Optional.empty();
  }

  /** Whether what makes a value can add it to something; of a stack every round its part. */
  private static boolean adds(Node maker, Value made) {
    if (!(maker.op() instanceof Repeat repeat)) {
      return maker.op().accumulate(DeviceKind.CPU, maker.inputTypes()).isPresent();
    }
    int result = maker.outputs().indexOf(made);
    Value part = repeat.body().outputValues().get(result);
    Node last = repeat.body().producers().get(part);
    return result >= repeat.carried()
        && last != null
        && adds(last, part)
        && repeat.body().consumers().getOrDefault(part, List.of()).isEmpty();
  }

  /**
   * What is read and written for a product to be added to something: nothing where it is made onto
   * it, as a processor reads the memory that a product is written to anyway, or reads it while it
   * multiplies; where it is needed afterwards, or is smaller, it is copied first.
   */
  private long addedBytes(Node sum, Value added) {
    long bytes = sum.output(0).type().bytes();
    Value root = root(added);
    return sum.equals(last.get(root)) && root.type().bytes() == bytes
        ? 0
        : 2 * bytes + Math.min(bytes, root.type().bytes());
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
