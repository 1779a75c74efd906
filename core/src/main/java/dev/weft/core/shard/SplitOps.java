package dev.weft.core.shard;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.HaloExchange;
import dev.weft.core.collective.HaloRange;
import dev.weft.core.collective.MaskPadding;
import dev.weft.core.collective.StepSlice;
import dev.weft.core.collective.WindowSlice;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Window;
import dev.weft.core.graph.Windowed;
import dev.weft.core.op.SelfSplitting;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Makes a node's op on local tensors: padding masked, halos fetched, split look-ups and scans. */
final class SplitOps {
  private final BodyPartitioner body;
  private final Partitioner partitioner;
  private final Dimensions known;
  private final Node node;
  private final Assignment assignment;
  private final List<Layout> inputLayouts;
  private final List<Layout> outputLayouts;

  SplitOps(BodyPartitioner body, Dimensions known, Choice choice) {
    this(body, known, choice.assignment(), choice.inputs(), choice.outputs());
  }

  private SplitOps(
      BodyPartitioner body,
      Dimensions known,
      Assignment assignment,
      List<Layout> inputLayouts,
      List<Layout> outputLayouts) {
    this.body = body;
    this.partitioner = body.partitioner();
    this.known = known;
    this.node = known.node();
    this.assignment = assignment;
    this.inputLayouts = inputLayouts;
    this.outputLayouts = outputLayouts;
  }

  /**
   * The price of what is sent inside of the op, beyond moving its operands; empty where the op
   * cannot be shared so.
   */
  static Optional<Double> price(
      BodyPartitioner body,
      Dimensions known,
      Assignment assignment,
      List<Layout> inputs,
      List<Layout> outputs) {
    var ops = new SplitOps(body, known, assignment, inputs, outputs);
    Optional<Double> halos = ops.haloPrice();
    if (halos.isEmpty()) {
      return halos;
    }
    Optional<String> own = ops.ownFactor();
    if (own.isEmpty()) {
      return halos;
    }
    var scratch = new Builder("scratch");
    var arguments = new ArrayList<Value>();
    for (int i = 0; i < inputs.size(); i++) {
      TensorType local =
          body.partitioner().resharding().local(ops.node.input(i).type(), inputs.get(i));
      arguments.add(scratch.input("x" + i, local, Graph.Kind.DATA));
    }
    ops.splitItself(scratch, own.get(), arguments, ops.localOutputs());
    return Optional.of(halos.get() + body.partitioner().price(scratch.build()));
  }

  /** Adds the op's nodes and gives the local outputs. */
  List<Value> emit(List<Value> converted) {
    var inputs = new ArrayList<Value>();
    Map<String, Windowed.Link> links = splitLinks();
    for (int i = 0; i < converted.size(); i++) {
      Optional<Value> whole = wholeBase(i, links);
      Value local = mask(whole.orElse(converted.get(i)), i, links);
      inputs.add(halo(local, i, links, whole.isPresent()));
    }
    List<TensorType> outputs = computed(localOutputs(), links);
    Optional<String> own = ownFactor();
    if (own.isPresent()) {
      return splitItself(body.builder(), own.get(), inputs, outputs);
    }
    boolean asItIs =
        outputs.equals(node.outputs().stream().map(Value::type).toList())
            && inputs.stream().map(Value::type).toList().equals(node.inputTypes());
    Op op = asItIs ? node.op() : node.op().local(outputs);
    if (!links.isEmpty()) {
      Map<String, Window> windows = new HashMap<>();
      links.forEach((factor, link) -> windows.put(factor, localWindow(factor, link)));
      op = ((Windowed) op).withWindows(inputs.stream().map(Value::type).toList(), windows);
    }
    List<String> names = node.outputs().stream().map(Value::name).toList();
    List<Value> made = body.builder().add(op, inputs, names);
    List<TensorType> types = made.stream().map(Value::type).toList();
    if (!types.equals(outputs)) {
      throw new IllegalStateException(
          node.op().name()
              + " split as "
              + assignment.split()
              + " makes "
              + types
              + ", expected "
              + outputs);
    }
    return ownSteps(made, links);
  }

  /** The inputs with what counts for nothing behind the ends of short tiles. */
  List<Value> masked(List<Value> converted) {
    var inputs = new ArrayList<Value>();
    for (int i = 0; i < converted.size(); i++) {
      inputs.add(mask(converted.get(i), i, Map.of()));
    }
    return inputs;
  }

  private List<TensorType> localOutputs() {
    var types = new ArrayList<TensorType>();
    for (int i = 0; i < node.outputs().size(); i++) {
      types.add(partitioner.resharding().local(node.output(i).type(), outputLayouts.get(i)));
    }
    return types;
  }

  private List<MeshAxis> axes(String factor) {
    return partitioner.mesh().select(assignment.split().getOrDefault(factor, List.of()));
  }

  // Padding

  /** Puts what counts for nothing behind the ends of short tiles, where they would be mixed in. */
  private Value mask(Value local, int input, Map<String, Windowed.Link> links) {
    Value masked = local;
    TensorType type = node.input(input).type();
    for (int dim = 0; dim < type.rank(); dim++) {
      Optional<String> factor = known.outermost(false, input, dim);
      if (factor.isEmpty() || !assignment.split().containsKey(factor.get())) {
        continue;
      }
      if (isBase(links.get(factor.get()), input, dim) || known.isOwn(factor.get())) {
        continue;
      }
      List<MeshAxis> axes = partitioner.mesh().select(inputLayouts.get(input).axes(dim));
      if (Tiles.of(type.size(dim), axes).isEven()) {
        continue;
      }
      boolean folded = false;
      for (int i = 0; i < node.outputs().size(); i++) {
        folded |= !known.hasOutput(factor.get(), i);
      }
      boolean index = type.dtype() == DataType.I64 && !isElementwise();
      if (folded || index) {
        double fill =
            folded ? neutral(factor.get(), input, type.dtype()) : node.op().neutral(input);
        masked =
            body.once(
                new MaskPadding(axes, dim, type.size(dim), fill), masked, node.input(input).name());
      }
    }
    return masked;
  }

  private boolean isElementwise() {
    var first = known.factors().outputs().getFirst();
    return known.factors().inputs().stream().allMatch(first::equals);
  }

  private double neutral(String factor, int input, DataType dtype) {
    Factors.Mark mark = known.mark(factor);
    if (mark == Factors.Mark.MAX) {
      return lowest(dtype);
    }
    return mark == Factors.Mark.MIN ? -lowest(dtype) : node.op().neutral(input);
  }

  private static double lowest(DataType dtype) {
    return switch (dtype) {
      case I32 -> -Integer.MAX_VALUE;
      case I64 -> -Math.pow(2, 62);
      case BOOL -> 0;
      default -> Double.NEGATIVE_INFINITY;
    };
  }

  // Windows

  private Map<String, Windowed.Link> splitLinks() {
    Map<String, Windowed.Link> links = new LinkedHashMap<>();
    if (node.op() instanceof Windowed windowed) {
      for (Windowed.Link link : windowed.links(node.inputTypes())) {
        if (assignment.split().containsKey(link.factor())) {
          links.put(link.factor(), link);
        }
      }
    }
    return links;
  }

  private static boolean isBase(Windowed.@Nullable Link link, int input, int dim) {
    return link != null && link.bases().contains(new Windowed.Place(input, dim));
  }

  /** The types of local outputs with the steps that devices compute early. */
  private List<TensorType> computed(List<TensorType> outputs, Map<String, Windowed.Link> links) {
    var types = new ArrayList<>(outputs);
    links.forEach(
        (factor, link) -> {
          long steps = range(link).steps(Tiles.of(range(link).result(), axes(factor)));
          for (Windowed.Place place : link.results()) {
            TensorType type = types.get(place.tensor());
            types.set(place.tensor(), type.with(type.shape().with(place.dim(), steps)));
          }
        });
    return types;
  }

  private List<Value> ownSteps(List<Value> made, Map<String, Windowed.Link> links) {
    var own = new ArrayList<>(made);
    links.forEach(
        (factor, link) -> {
          HaloRange range = range(link);
          Tiles tiles = Tiles.of(range.result(), axes(factor));
          if (range.steps(tiles) == tiles.room()) {
            return;
          }
          for (Windowed.Place place : link.results()) {
            var op = new StepSlice(axes(factor), place.dim(), range.result(), range.align());
            String name = node.output(place.tensor()).name();
            own.set(place.tensor(), body.once(op, own.get(place.tensor()), name));
          }
        });
    return own;
  }

  private HaloRange range(Windowed.Link link) {
    Windowed.Place base = link.bases().getFirst();
    return range(link, base.tensor(), base.dim());
  }

  private HaloRange range(Windowed.Link link, int input, int dim) {
    Window window = link.window();
    long steps =
        link.results().isEmpty()
            ? size(link.steps().getFirst(), false)
            : size(link.results().getFirst(), true);
    return new HaloRange(
        node.input(input).type().size(dim),
        steps,
        window.span(),
        window.stride(),
        window.padLow(),
        window.baseDilation(),
        // An operand with an element for each step has none for the steps before its tile.
        link.steps().isEmpty() ? window.period() : 1);
  }

  private long size(Windowed.Place place, boolean output) {
    return (output ? node.output(place.tensor()) : node.input(place.tensor()))
        .type()
        .size(place.dim());
  }

  /** The window of a tile: the same on every device, for {@link #haloPrice} has seen to that. */
  private Window localWindow(String factor, Windowed.Link link) {
    HaloRange range = range(link);
    Tiles tiles = Tiles.of(range.result(), axes(factor));
    return link.window().part(0, range.steps(tiles), range.first(0), range.width(tiles));
  }

  /** The operand in the layout needed, but whole along its windowed dims: nothing need be sent. */
  private Optional<Value> wholeBase(int input, Map<String, Windowed.Link> links) {
    Layout layout = inputLayouts.get(input);
    for (Windowed.Link link : links.values()) {
      for (Windowed.Place base : link.bases()) {
        if (base.tensor() == input) {
          layout = layout.with(base.dim(), List.of());
        }
      }
    }
    if (layout.equals(inputLayouts.get(input))) {
      return Optional.empty();
    }
    Layout wanted = layout;
    return body.versions(node.input(input)).stream()
        .filter(v -> v.layout().equals(wanted))
        .map(Versions.Version::local)
        .findFirst();
  }

  private Value halo(Value local, int input, Map<String, Windowed.Link> links, boolean whole) {
    Value fetched = local;
    for (Map.Entry<String, Windowed.Link> entry : links.entrySet()) {
      Windowed.Link link = entry.getValue();
      for (Windowed.Place base : link.bases()) {
        if (base.tensor() == input) {
          Op op = haloOp(entry.getKey(), link, input, base.dim(), whole, fetched.type());
          fetched = body.once(op, fetched, node.input(input).name());
          partitioner.explain(
              fetched,
              new Partitioner.Reason(
                  node.input(input).name(),
                  node.input(input).type(),
                  node.origin(),
                  node.op().name() + " needs its neighbours' elements of dim " + base.dim()));
        }
      }
    }
    return fetched;
  }

  private Op haloOp(
      String factor, Windowed.Link link, int input, int dim, boolean whole, TensorType local) {
    HaloRange range = range(link, input, dim);
    double outside = ((Windowed) node.op()).outside(input);
    if (whole) {
      return WindowSlice.of(axes(factor), dim, range, outside, false);
    }
    var exchange = HaloExchange.of(axes(factor), dim, range, outside);
    return exchange.moves(local)
        ? exchange
        : WindowSlice.of(axes(factor), dim, range, outside, true);
  }

  private Optional<Double> haloPrice() {
    double price = 0;
    Map<String, Windowed.Link> links = splitLinks();
    for (Map.Entry<String, List<String>> entry : assignment.split().entrySet()) {
      if (known.mark(entry.getKey()) == Factors.Mark.HALO && !links.containsKey(entry.getKey())) {
        return Optional.empty();
      }
    }
    for (int input = 0; input < node.inputs().size(); input++) {
      TensorType local =
          partitioner.resharding().local(node.input(input).type(), inputLayouts.get(input));
      boolean whole = wholeBase(input, links).isPresent();
      boolean first = true;
      for (Map.Entry<String, Windowed.Link> entry : links.entrySet()) {
        Windowed.Link link = entry.getValue();
        for (Windowed.Place base : link.bases()) {
          if (base.tensor() != input) {
            continue;
          }
          HaloRange range = range(link, input, base.dim());
          Tiles tiles = Tiles.of(range.result(), axes(entry.getKey()));
          if (range.size() == 0 || range.result() == 0 || range.window() == 0) {
            return Optional.empty();
          }
          for (int tile = 1; tile < tiles.count(); tile++) {
            if (tiles.length(tile) > 0
                && range.phase(tiles.start(tile)) != range.phase(tiles.start(0))) {
              return Optional.empty();
            }
          }
          Op op = haloOp(entry.getKey(), link, input, base.dim(), false, local);
          boolean known =
              first && body.madeOf(op, node.input(input), inputLayouts.get(input)).isPresent();
          if (!known && !whole && op instanceof HaloExchange exchange) {
            price += Resharding.price(exchange.bytesSent(local), 1);
          }
          local = op.infer(List.of(local)).getFirst();
          first = false;
        }
      }
    }
    return Optional.of(price);
  }

  // Ops that split themselves

  private Optional<String> ownFactor() {
    return assignment.split().keySet().stream().filter(known::isOwn).findFirst();
  }

  private List<Value> splitItself(
      Builder builder, String factor, List<Value> inputs, List<TensorType> outputs) {
    List<Tensor> tensors = inputs.stream().map(v -> new Tensor(builder, v)).toList();
    var part = new MeshPart(builder, factor, known.size(factor), axes(factor));
    List<Tensor> results = ((SelfSplitting) node.op()).split(part, tensors, outputs);
    for (int i = 0; i < results.size(); i++) {
      if (!results.get(i).type().equals(outputs.get(i))) {
        throw new IllegalStateException(
            node.op().name()
                + " split along "
                + factor
                + " makes "
                + results.get(i).type()
                + ", expected "
                + outputs.get(i));
      }
    }
    return results.stream().map(Tensor::value).toList();
  }

  /** What is outstanding in an output of an op that splits itself. */
  static Optional<Folding> outstanding(Dimensions known, String factor, int output) {
    return known.node().op() instanceof SelfSplitting op
        ? op.outstanding(factor, output, known.node().inputTypes())
        : Optional.empty();
  }
}
