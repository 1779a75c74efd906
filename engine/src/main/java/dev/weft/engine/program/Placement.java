package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * Decides in which buffer every value lies: sums grow where the product is made, parts are made in
 * their stacks, results over operands that nobody reads any more, outputs in the memory donated.
 */
final class Placement {
  private final DeviceKind kind;
  private final List<Item> items;
  private final Map<Value, Flat> inputs;
  private final Map<Item, Integer> numbers = new IdentityHashMap<>();
  private final Set<Flat> clobberable = new HashSet<>();
  private final List<Command.Copy> finalCopies = new ArrayList<>();

  private Placement(DeviceKind kind, Flattening flattening) {
    this.kind = kind;
    this.items = new ArrayList<>(flattening.items());
    this.inputs = flattening.inputs();
    for (Item item : items) {
      if (item.isCollective()) {
        numbers.put(item, numbers.size());
      }
    }
  }

  /** The number of a collective among those of the graph, in its order. */
  int number(Item collective) {
    return Objects.requireNonNull(numbers.get(collective));
  }

  /**
   * Places all values.
   *
   * @param bound the places of the graph's inputs
   * @param results the places of the graph's outputs; those of donated inputs where one is donated
   */
  static Placement of(
      Graph graph,
      Flattening flattening,
      DeviceKind kind,
      Map<Value, ? extends Place> bound,
      List<Place> results) {
    var placement = new Placement(kind, flattening);
    placement.fuseSums(flattening.outputs());
    placement.makePartsInStacks(flattening.outputs());
    placement.reduceInPlace(flattening.outputs());
    placement.order(flattening.outputs());
    Map<Place, Buffer> buffers = new HashMap<>();
    for (Graph.Input input : graph.inputs()) {
      Place place = Objects.requireNonNull(bound.get(input.value()));
      Flat flat = Objects.requireNonNull(flattening.inputs().get(input.value()));
      flat.place = whole(buffers, place, flat.type);
      if (input.kind() == Graph.Kind.ACCUMULATOR) {
        placement.clobberable.add(flat);
      }
    }
    Set<Flat> taken = new HashSet<>();
    for (int i = 0; i < results.size(); i++) {
      Flat output = flattening.outputs().get(i);
      Value donor = graph.outputs().get(i).donated();
      Operand target = whole(buffers, results.get(i), output.type);
      Flat donated = donor == null ? null : flattening.inputs().get(donor);
      if (output.root().place == null
          && output.root().literal == null
          && output.isAllOfRoot()
          && taken.add(output.root())
          && (donated == null
              || placement.mayOverwrite(donated, output.root(), flattening.outputs()))) {
        output.root().place =
            target.with(dev.weft.core.graph.Strided.dense(output.root().type.shape()));
      } else {
        placement.finalCopies.add(new Command.Copy("output %" + output.name, target, target));
        placement.pendingOutputs.add(output);
      }
    }
    placement.place();
    return placement;
  }

  private final List<Flat> pendingOutputs = new ArrayList<>();
  private int[] ends = new int[0];

  private Map<Flat, Reads> reads = Map.of();

  private static Operand whole(Map<Place, Buffer> buffers, Place place, TensorType type) {
    Buffer piece = buffers.computeIfAbsent(place, p -> new Buffer(p.name(), p.type().bytes(), p));
    return Operand.dense(piece, type.dtype(), type.shape());
  }

  List<Item> items() {
    return items;
  }

  /**
   * What remains to be copied into outputs' buffers when all items have run: nothing is copied over
   * what is still to be copied elsewhere.
   */
  List<Command.Copy> finalCopies() {
    var waiting = new ArrayList<Command.Copy>();
    for (int i = 0; i < finalCopies.size(); i++) {
      Command.Copy copy = finalCopies.get(i);
      Operand source = pendingOutputs.get(i).operand();
      if (!source.same(copy.target())) {
        waiting.add(new Command.Copy(copy.origin(), copy.target(), source));
      }
    }
    var copies = new ArrayList<Command.Copy>();
    while (!waiting.isEmpty()) {
      Optional<Command.Copy> free =
          waiting.stream()
              .filter(
                  copy ->
                      waiting.stream()
                          .noneMatch(
                              other ->
                                  other != copy
                                      && other.source().buffer() == copy.target().buffer()))
              .findFirst();
      if (free.isPresent()) {
        copies.add(free.get());
        waiting.remove(free.get());
      } else {
        // Inputs that are returned in one another's memory: one steps aside.
        Command.Copy first = waiting.removeFirst();
        Operand source = first.source();
        long bytes = source.shape().elements() * source.dtype().bytes();
        var aside = new Buffer(first.origin(), bytes, null);
        aside.live(items.size());
        Operand kept = Operand.dense(aside, source.dtype(), source.shape());
        copies.add(new Command.Copy(first.origin(), kept, source));
        waiting.addLast(new Command.Copy(first.origin(), first.target(), kept));
      }
    }
    return copies;
  }

  /** Replaces a product and its sum with something by one kernel that adds the product. */
  private void fuseSums(List<Flat> outputs) {
    Map<Flat, Item> makers = new HashMap<>();
    for (Item item : items) {
      item.outputs().forEach(o -> makers.put(o.base, item));
      item.inputs().forEach(i -> i.base.reads++);
    }
    outputs.forEach(o -> o.base.reads++);
    Map<Kernel, Optional<Kernel>> adding = new IdentityHashMap<>();
    Set<Item> gone = Collections.newSetFromMap(new IdentityHashMap<>());
    for (int position = 0; position < items.size(); position++) {
      Item sum = items.get(position);
      if (!(sum.op() instanceof Add)) {
        continue;
      }
      for (int operand = 1; operand >= 0; operand--) {
        Flat product = sum.inputs().get(operand);
        Flat other = sum.inputs().get(1 - operand);
        Item maker = makers.get(product);
        Item otherMaker = makers.get(other.base);
        // A product begins before that has come from other devices which it is to be added to.
        if (maker == null
            || (otherMaker != null && otherMaker.isCollective())
            || product.isView()
            || product.reads != 1
            || maker.base() != null
            || maker.outputs().size() != 1
            || other.base == product) {
          continue;
        }
        // Rounds of a repeat have their kernels in common.
        Optional<Kernel> kernel =
            adding.computeIfAbsent(
                maker.kernel(),
                _ -> {
                  List<TensorType> types = maker.inputs().stream().map(f -> f.type).toList();
                  return maker.op().accumulate(kind, maker.route().types(types));
                });
        if (kernel.isPresent()) {
          Item fused =
              new Item(
                  maker.op(), maker.inputs(), sum.outputs(), kernel.get(), other, maker.route());
          items.set(position, fused);
          makers.put(sum.outputs().getFirst(), fused);
          gone.add(maker);
          break;
        }
      }
    }
    items.removeIf(gone::contains);
  }

  /** Lets rounds' parts be made in their stack, which saves the copy. */
  private void makePartsInStacks(List<Flat> outputs) {
    Set<Flat> made = new HashSet<>();
    for (Item item : items) {
      if (!Flattening.isStackWrite(item)) {
        item.outputs().forEach(made::add);
      }
    }
    Set<Flat> returned = new HashSet<>();
    outputs.forEach(o -> returned.add(o.base));
    var kept = new ArrayList<Item>();
    for (Item item : items) {
      Flat part = item.inputs().isEmpty() ? null : item.inputs().getFirst();
      if (Flattening.isStackWrite(item)
          && part != null
          && !part.isView()
          && made.contains(part)
          && part.alias == null
          && !returned.contains(part)) {
        part.alias = item.outputs().getFirst();
      } else {
        kept.add(item);
      }
    }
    items.clear();
    items.addAll(kept);
  }

  /**
   * Lets what is summed over devices be made where the sum stays, in a stack or an output, so that
   * no other memory is held until the collective ends; also what it is made of by adding onto.
   */
  private void reduceInPlace(List<Flat> outputs) {
    Map<Flat, Item> makers = new HashMap<>();
    Map<Flat, Item> lastReader = new HashMap<>();
    Map<Flat, Item> exchange = new HashMap<>();
    for (Item item : items) {
      item.outputs().forEach(o -> makers.put(o.base, item));
      for (Flat read : item.reads()) {
        lastReader.put(read.base, item);
        if (item.isCollective()) {
          exchange.put(read.base, item);
        }
      }
    }
    Set<Flat> returned = new HashSet<>();
    outputs.forEach(o -> returned.add(o.base));
    for (Item item : items.reversed()) {
      for (int index = 0; index < item.outputs().size(); index++) {
        Flat output = item.outputs().get(index);
        boolean stays =
            output.base.alias != null || item.isCollective() && returned.contains(output);
        if (!stays || output.isView()) {
          continue;
        }
        for (Flat candidate : worksOn(item, index)) {
          long uses = item.reads().stream().filter(r -> r.base == candidate.base).count();
          if (!candidate.isView()
              && candidate.alias == null
              && makers.containsKey(candidate)
              && !returned.contains(candidate)
              && lastReader.get(candidate) == item
              && exchange.getOrDefault(candidate, item) == item
              && uses == 1
              && candidate.type.equals(output.type)) {
            candidate.alias = output;
            break;
          }
        }
      }
    }
  }

  /** What an item would have to copy, or hold longer, if its output lay elsewhere. */
  private static List<Flat> worksOn(Item item, int index) {
    var candidates = new ArrayList<Flat>();
    for (Kernel.Pair pair :
        item.isCollective() ? item.kernel().shares() : item.kernel().mutates()) {
      if (pair.output() == index) {
        candidates.add(item.inputs().get(pair.input()));
      }
    }
    if (item.base() != null) {
      candidates.add(item.base());
    }
    return candidates;
  }

  private void order(List<Flat> outputs) {
    reads = Reads.of(items);
    ends = new int[items.size()];
    for (int position = 0; position < items.size(); position++) {
      Item item = items.get(position);
      ends[position] = item.isCollective() ? firstReader(position) : position;
      for (Flat read : item.reads()) {
        read.root().lastRead = Math.max(read.root().lastRead, position);
      }
      for (Flat output : item.outputs()) {
        Flat root = output.root();
        root.made = root.made < 0 ? position : root.made;
        root.lastRead = Math.max(root.lastRead, ends[position]);
      }
    }
    for (Flat output : outputs) {
      output.root().lastRead = items.size();
    }
  }

  /** The first item that reads what a collective makes; one behind the last if none does. */
  private int firstReader(int collective) {
    int[] first = {items.size()};
    for (Flat made : items.get(collective).outputs()) {
      reads(made.root())
          .overlapping(
              made.range(),
              read -> {
                if (read.item() > collective) {
                  first[0] = Math.min(first[0], read.item());
                }
              });
    }
    return first[0];
  }

  private Reads reads(Flat root) {
    return reads.getOrDefault(root, Reads.NONE);
  }

  /** Before which item each item has ended: its own position but for collectives. */
  int end(int position) {
    return ends[position];
  }

  /** Whether a value may be made in a donated input's memory: nobody reads there afterwards. */
  private boolean mayOverwrite(Flat donated, Flat root, List<Flat> outputs) {
    for (int write = 0; write < items.size(); write++) {
      for (Flat output : items.get(write).outputs()) {
        if (output.root() == root && isReadAfter(donated, output, write)) {
          return false;
        }
      }
    }
    // What was donated may be returned as well.
    return outputs.stream().noneMatch(o -> o.root() == donated);
  }

  private boolean isReadAfter(Flat donated, Flat output, int write) {
    Item writer = items.get(write);
    boolean[] found = {false};
    reads(donated)
        .overlapping(
            output.range(),
            read -> {
              boolean over = read.item() < write && ends[read.item()] <= write;
              boolean shared = read.item() == write && allowsSharing(writer, output, read.flat());
              found[0] |= !over && !shared;
            });
    return found[0];
  }

  /** Whether an item may write its output over an operand, element by element. */
  private static boolean allowsSharing(Item item, Flat output, Flat read) {
    long[] from = read.range();
    long[] to = output.range();
    if (from[0] != to[0] || from[1] != to[1] || !read.layout.isContiguous()) {
      return false;
    }
    if (read == item.base()) {
      return true;
    }
    int index = item.outputs().indexOf(output);
    for (Kernel.Pair pair : item.kernel().shares()) {
      if (pair.output() == index && item.inputs().get(pair.input()) == read) {
        return true;
      }
    }
    for (Kernel.Pair pair : item.kernel().mutates()) {
      if (pair.output() == index && item.inputs().get(pair.input()) == read) {
        return true;
      }
    }
    return false;
  }

  private void place() {
    for (int position = 0; position < items.size(); position++) {
      Item item = items.get(position);
      for (int index = 0; index < item.outputs().size(); index++) {
        Flat root = item.outputs().get(index).root();
        if (root.place == null) {
          Operand over = operandToTake(item, index, position);
          root.place =
              over != null
                  ? over
                  : Operand.dense(
                      new Buffer(item.name(), root.type.bytes(), null),
                      root.type.dtype(),
                      root.type.shape());
        }
        if (root.place.buffer().isScratch()) {
          root.place.buffer().live(root.made);
          root.place.buffer().live(Math.max(root.made, root.lastRead));
        }
      }
      if (item.isCollective()) {
        // Other devices read the operand until the end; nothing may take its place before.
        for (Flat input : item.inputs()) {
          Flat read = input.root();
          read.lastRead = Math.max(read.lastRead, ends[position]);
          if (read.place != null && read.place.buffer().isScratch()) {
            read.place.buffer().live(ends[position] - 1);
          }
        }
      }
    }
  }

  private @org.jspecify.annotations.Nullable Operand operandToTake(
      Item item, int index, int position) {
    Flat output = item.outputs().get(index);
    if (output.isView() || output.alias != null) {
      return null;
    }
    var candidates = new ArrayList<Flat>();
    for (Kernel.Pair pair : item.kernel().mutates()) {
      if (pair.output() == index) {
        candidates.add(item.inputs().get(pair.input()));
      }
    }
    if (item.base() != null) {
      candidates.add(item.base());
    }
    for (Kernel.Pair pair : item.kernel().shares()) {
      if (pair.output() == index) {
        candidates.add(item.inputs().get(pair.input()));
      }
    }
    for (Flat candidate : candidates) {
      Flat root = candidate.root();
      long uses = item.reads().stream().filter(r -> r.root() == root).count();
      boolean takenAlready =
          item.outputs().stream()
              .limit(index)
              .anyMatch(
                  o ->
                      o.root().place != null
                          && root.place != null
                          && o.root().place.buffer() == root.place.buffer());
      if (root.lastRead == position
          && root.literal == null
          && root.place != null
          && root.place.buffer().isScratch()
          && candidate.isAllOfRoot()
          && root.type.bytes() == output.type.bytes()
          && candidate.type.equals(output.type)
          && uses == 1
          && !takenAlready) {
        return Operand.dense(root.place.buffer(), output.type.dtype(), output.type.shape());
      }
    }
    return null;
  }

  /** Whether an input's memory may be left in disorder after an item. */
  boolean mayClobber(Flat input, int position) {
    Flat root = input.root();
    return root.lastRead <= position
        && root.literal == null
        && (root.place == null || root.place.buffer().isScratch() || clobberable.contains(root));
  }
}
