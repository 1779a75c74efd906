package dev.weft.core.overlap;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.SelfSplitting;
import dev.weft.core.shard.Dimensions;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Where the batch lies in the values of a graph, in repeats too: the dims that the factors of ops
 * link with the rows of what it takes. A dim of several factors belongs to the batch where that
 * stands outermost in it. Where a collective puts the rows of several devices behind one another,
 * the dim has several blocks of rows, and a half of it is half of each block.
 */
final class Batch {
  private record Dim(Value value, int dim) {}

  private final Map<Dim, Dim> parents = new HashMap<>();
  private final Map<Value, OptionalInt> found = new HashMap<>();

  /** How many blocks of rows the dims of the batch have, by the root of those that are tied. */
  private final Map<Dim, Long> blocks = new HashMap<>();

  private final Dim seed;
  private final long rows;

  private Batch(Dim seed, long rows) {
    this.seed = seed;
    this.rows = rows;
  }

  /**
   * The batch of a graph, whole or of one device; empty where nothing that it takes has rows.
   *
   * @param rows where they lie in what the graph takes
   */
  static Optional<Batch> of(Graph graph, Rows rows) {
    @Nullable Batch batch = null;
    for (Value value : graph.inputs(Graph.Kind.DATA)) {
      Rows.@Nullable Place place = rows.places().get(value.name());
      if (place == null || value.type().size(place.dim()) % place.each() != 0) {
        continue;
      }
      long here = value.type().size(place.dim()) / place.each();
      if (batch == null) {
        batch = new Batch(new Dim(value, place.dim()), here);
      } else if (here == batch.rows) {
        batch.tie(batch.seed.value(), batch.seed.dim(), value, place.dim());
      }
    }
    if (batch == null || batch.rows == 0) {
      return Optional.empty();
    }
    batch.tie(graph);
    batch.blocks.put(batch.root(batch.seed), 1L);
    while (batch.follow(graph)) {
      // What one collective has put together another may take apart.
    }
    return Optional.of(batch);
  }

  /** How many rows a device has of the batch. */
  long rows() {
    return rows;
  }

  /** How many rows the first half has. */
  long firstRows() {
    return (rows + 1) / 2;
  }

  /**
   * How much of a dim of the batch, which may hold several elements of a row, the first half is.
   */
  long cut(long size) {
    return size / rows * firstRows();
  }

  /** The one dim that a value can be cut along. */
  OptionalInt dim(Value value) {
    return found.computeIfAbsent(value, this::find);
  }

  private OptionalInt find(Value value) {
    OptionalInt only = OptionalInt.empty();
    for (int dim = 0; dim < value.type().rank(); dim++) {
      if (isBatch(value, dim)) {
        if (only.isPresent()) {
          return OptionalInt.empty();
        }
        only = OptionalInt.of(dim);
      }
    }
    return only;
  }

  /** Whether the value has rows, in whatever dims. */
  boolean hasRows(Value value) {
    return IntStream.range(0, value.type().rank()).anyMatch(dim -> isBatch(value, dim));
  }

  private boolean isBatch(Value value, int dim) {
    long here = blocks(value, dim);
    long size = value.type().size(dim);
    return here > 0 && size > 0 && size % (here * rows) == 0;
  }

  /** How many blocks of rows lie behind one another in a dim; 0 where it is not of the batch. */
  long blocks(Value value, int dim) {
    return blocks.getOrDefault(root(new Dim(value, dim)), 0L);
  }

  /** The type of a half. */
  TensorType half(TensorType type, int dim, int number) {
    long cut = cut(type.size(dim));
    return type.with(type.shape().with(dim, number == 0 ? cut : type.size(dim) - cut));
  }

  /**
   * The factor along which a node can be computed in halves, each result of it either a half or
   * folded from what both halves give.
   */
  Optional<String> factor(Node node) {
    if (node.op() instanceof Repeat || !Exchange.of(node).stream().allMatch(this::keepsBlocks)) {
      return Optional.empty();
    }
    Dimensions known = LocalFactors.exchanged(node);
    Set<String> factors = new LinkedHashSet<>();
    for (String factor : known.names()) {
      for (Dimensions.Place place : known.places(factor)) {
        if (isBatch(value(node, place), place.dim())) {
          factors.add(factor);
        }
      }
    }
    if (factors.size() != 1) {
      return Optional.empty();
    }
    String factor = factors.iterator().next();
    return known.size(factor) % rows == 0 && isCut(known, factor) && splits(known, factor)
        ? Optional.of(factor)
        : Optional.empty();
  }

  /** Whether what is joined has as many blocks as all parts of it. */
  private boolean keepsBlocks(Exchange exchange) {
    return blocks(exchange.joined(), exchange.dim())
        == blocks(exchange.part(), exchange.dim()) * exchange.members();
  }

  /** Whether the factor is what all tensors that have it are cut along. */
  private boolean isCut(Dimensions known, String factor) {
    Node node = known.node();
    Set<Value> placed = new LinkedHashSet<>();
    for (Dimensions.Place place : known.places(factor)) {
      Value value = value(node, place);
      OptionalInt dim = dim(value);
      if (dim.isEmpty() || dim.getAsInt() != place.dim()) {
        return false;
      }
      placed.add(value);
    }
    for (int i = 0; i < node.inputs().size(); i++) {
      if (known.hasInput(factor, i) && !placed.contains(node.input(i))) {
        return false;
      }
    }
    for (int i = 0; i < node.outputs().size(); i++) {
      if (known.hasOutput(factor, i) && !placed.contains(node.output(i))) {
        return false;
      }
    }
    return true;
  }

  private boolean splits(Dimensions known, String factor) {
    Node node = known.node();
    boolean everywhere = true;
    for (int i = 0; i < node.outputs().size(); i++) {
      boolean has = known.hasOutput(factor, i);
      everywhere &= has;
      if (!has && node.output(i).dtype() == DataType.BOOL) {
        return false;
      }
    }
    if (known.isOwn(factor)) {
      return everywhere && isMadeByPlace(node, factor) && isOneBlock(known, factor);
    }
    return known.mark(factor) != Factors.Mark.HALO && (everywhere || known.hasInput(factor));
  }

  /** Whether halves are runs, so that they have a place. */
  private boolean isOneBlock(Dimensions known, String factor) {
    return known.places(factor).stream()
        .allMatch(place -> blocks(value(known.node(), place), place.dim()) == 1);
  }

  /** Whether an op makes elements by nothing but where they are, and knows to make a part. */
  static boolean isMadeByPlace(Node node, String factor) {
    if (!(node.op() instanceof SelfSplitting op)) {
      return false;
    }
    var known = new Dimensions(node);
    return known.isOwn(factor) && op.splits(factor, node.inputTypes()) && !known.hasInput(factor);
  }

  private static Value value(Node node, Dimensions.Place place) {
    return place.output() ? node.output(place.tensor()) : node.input(place.tensor());
  }

  // Ties

  private Dim root(Dim dim) {
    Dim root = dim;
    for (Dim parent = parents.get(root); parent != null; parent = parents.get(root)) {
      root = parent;
    }
    Dim at = dim;
    while (!at.equals(root)) {
      at = Objects.requireNonNull(parents.put(at, root));
    }
    return root;
  }

  private void tie(Value a, int dimOfA, Value b, int dimOfB) {
    Dim left = root(new Dim(a, dimOfA));
    Dim right = root(new Dim(b, dimOfB));
    if (!left.equals(right)) {
      parents.put(left, right);
    }
  }

  private void tie(Graph graph) {
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        tie(node, repeat);
        tie(repeat.body());
      } else {
        tie(LocalFactors.apart(node));
      }
    }
  }

  /** What an op must have whole is of the batch on both sides, too. */
  private void tie(Dimensions known) {
    for (String factor : known.names()) {
      Factors.Mark mark = known.mark(factor);
      if (mark == Factors.Mark.HALO || mark == Factors.Mark.TOP_K) {
        continue;
      }
      List<Dimensions.Place> places = known.places(factor);
      for (Dimensions.Place place : places) {
        Dimensions.Place first = places.getFirst();
        tie(value(known.node(), first), first.dim(), value(known.node(), place), place.dim());
      }
    }
  }

  private void tie(Node node, Repeat repeat) {
    List<Value> arguments = repeat.body().inputValues();
    List<Value> results = repeat.body().outputValues();
    for (int i = 0; i < node.inputs().size(); i++) {
      Value argument = arguments.get(i + 1);
      for (int dim = 0; dim < argument.type().rank(); dim++) {
        tie(node.input(i), repeat.isStacked(i) ? dim + 1 : dim, argument, dim);
      }
    }
    for (int i = 0; i < results.size(); i++) {
      Value result = results.get(i);
      for (int dim = 0; dim < result.type().rank(); dim++) {
        tie(node.output(i), i < repeat.carried() ? dim : dim + 1, result, dim);
        if (i < repeat.carried()) {
          tie(arguments.get(i + 1), dim, result, dim);
        }
      }
    }
  }

  /**
   * Goes on where collectives put rows of several devices behind one another, or take them apart.
   *
   * @return whether anything new is of the batch
   */
  private boolean follow(Graph graph) {
    boolean grown = false;
    for (Node node : graph.nodes()) {
      for (Graph body : node.op().bodies()) {
        grown |= follow(body);
      }
      for (Exchange exchange : Exchange.of(node)) {
        grown |= follow(exchange);
      }
    }
    return grown;
  }

  private boolean follow(Exchange exchange) {
    long parts = blocks(exchange.part(), exchange.dim());
    long joined = blocks(exchange.joined(), exchange.dim());
    if (parts > 0 && joined == 0) {
      Dim all = new Dim(exchange.joined(), exchange.dim());
      blocks.put(root(all), parts * exchange.members());
      return true;
    }
    if (parts == 0 && joined > 0 && joined % exchange.members() == 0) {
      Dim own = new Dim(exchange.part(), exchange.dim());
      blocks.put(root(own), joined / exchange.members());
      return true;
    }
    return false;
  }
}
