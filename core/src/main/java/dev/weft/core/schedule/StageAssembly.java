package dev.weft.core.schedule;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Tensor;
import dev.weft.core.program.Action;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Order;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.PieceGraphs.Held;
import dev.weft.core.program.Pool;
import dev.weft.core.program.StageBuilder;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.IntStream;

/** The steps of one stage for all micro-batches. */
final class StageAssembly {
  private static final String SUM = ".sum";

  private final int stage;
  private final Map<Integer, PieceGraphs> pieces;
  private final Order order;
  private final Wiring wiring;
  private final Timetable timetable;
  private final Timetable slow;
  private final Map<Wiring.Maker, Set<Assembly.Letter>> letters;
  private final List<Assembly.Transfer> transfers;
  private final StageBuilder builder;

  private final Map<Wiring.Maker, StageWork> works = new LinkedHashMap<>();
  private final Map<String, Tenancy> tenancies = new LinkedHashMap<>();
  private final Map<String, Slots> slots = new HashMap<>();
  private final Map<Integer, Slots> slotsByPool = new HashMap<>();

  /** By the numbers of fragments, the pools that they touch. */
  private final Map<Integer, int[]> touched = new HashMap<>();

  private final List<Event> events = new ArrayList<>();

  private final Set<String> folded = new HashSet<>();

  /** The steps that receive, by name and micro-batch. */
  private final Map<String, int[]> receives = new HashMap<>();

  /**
   * Something that happens. Transfers have one order on all stages: by time, then sender, the
   * sender's action and the letter.
   *
   * @param phase runs come before transfers at the time of their end
   */
  private record Event(
      double time, int phase, int sender, int action, int letter, Runnable emission)
      implements Comparable<Event> {
    @Override
    public int compareTo(Event other) {
      int earlier = Double.compare(time, other.time);
      if (earlier == 0) {
        earlier = Integer.compare(phase, other.phase);
      }
      if (earlier == 0) {
        earlier = Integer.compare(sender, other.sender);
      }
      if (earlier == 0) {
        earlier = Integer.compare(action, other.action);
      }
      return earlier == 0 ? Integer.compare(letter, other.letter) : earlier;
    }
  }

  StageAssembly(
      int stage,
      Map<Integer, PieceGraphs> pieces,
      Order order,
      Wiring wiring,
      Timetable timetable,
      Timetable slow,
      Map<Wiring.Maker, Set<Assembly.Letter>> letters,
      List<Assembly.Transfer> transfers) {
    this.stage = stage;
    this.pieces = pieces;
    this.order = order;
    this.wiring = wiring;
    this.timetable = timetable;
    this.slow = slow;
    this.letters = letters;
    this.transfers = transfers;
    this.builder = new StageBuilder(stage, pieces.values().iterator().next().mesh());
  }

  StageBuilder assemble() {
    for (PieceGraphs piece : pieces.values()) {
      if (!piece.mesh().equals(pieces.values().iterator().next().mesh())) {
        throw new IllegalStateException("the pieces of stage " + stage + " have different meshes");
      }
    }
    int kept = builder.pool(new Pool("kept", 1, true));
    eachAction(this::register);
    eachAction(this::tenancies);
    pools();
    keep(kept);
    runs();
    transfers();
    events.sort(null);
    events.forEach(event -> event.emission().run());
    return builder;
  }

  @FunctionalInterface
  private interface ActionVisitor {
    void visit(Action action, int place, StageWork work);
  }

  private void eachAction(ActionVisitor visitor) {
    List<Action> actions = order.stages().get(stage);
    for (int place = 0; place < actions.size(); place++) {
      Wiring.Maker maker = timetable.maker(stage, actions.get(place));
      StageWork work = works.get(maker);
      if (work == null && wiring.has(maker)) {
        PieceGraphs piece = Objects.requireNonNull(pieces.get(maker.piece()));
        work = new StageWork(maker, piece, wiring, timetable.stages());
        works.put(maker, work);
        work.register(this::tenancy, letters.getOrDefault(maker, Set.of()));
      }
      if (work != null) {
        visitor.visit(actions.get(place), place, work);
      }
    }
  }

  private void register(Action action, int place, StageWork work) {
    work.last(place);
  }

  private void tenancies(Action action, int place, StageWork work) {
    String event = work.event();
    tenancies(0, timetable, action.microBatch(), place, work, event);
    tenancies(1, slow, action.microBatch(), place, work, event);
  }

  private void tenancies(
      int which, Timetable times, int microBatch, int place, StageWork work, String event) {
    double start = times.start(stage, place);
    double end = times.end(stage, place);
    List<StageWork.Need> read = work.read();
    double ready = start;
    for (StageWork.Need need : read) {
      if (need.from() != null) {
        ready = Math.min(ready, times.end(need.from(), microBatch));
      }
    }
    for (StageWork.Need need : read) {
      need.tenancy().end(which, microBatch, end, event);
      if (need.fed()) {
        need.tenancy().start(which, microBatch, ready, "feed");
      } else if (need.from() != null) {
        need.tenancy().start(which, microBatch, times.end(need.from(), microBatch), "receive");
      }
    }
    for (StageWork.Need need : work.written()) {
      need.tenancy().start(which, microBatch, start, event);
      need.tenancy().end(which, microBatch, end, event);
      if (need.sent()) {
        need.tenancy().end(which, microBatch, end + Timetable.TRANSFER, "send");
      }
    }
  }

  private Tenancy tenancy(StageWork.Use use, PieceGraphs piece) {
    Held held = piece.held(use.value().name(), use.value().type());
    Graph.Kind kind = use.fed() ? kindOf(use, piece) : Graph.Kind.STATE;
    Tenancy tenancy =
        tenancies.computeIfAbsent(
            use.place(),
            name -> new Tenancy(name, held, use.value().type(), kind, order.microBatches()));
    Buffer buffer = tenancy.in(-1);
    if (!buffer.local().equals(use.value().type())
        || !buffer.type().equals(held.type())
        || !buffer.layout().equals(held.layout())
        || buffer.kind() != kind) {
      throw new IllegalStateException(
          "stage " + stage + " holds " + buffer + " and " + held + " under one name");
    }
    return tenancy;
  }

  private static Graph.Kind kindOf(StageWork.Use use, PieceGraphs piece) {
    return piece.graphs().values().stream()
        .flatMap(graph -> graph.inputs().stream())
        .filter(input -> input.value().name().equals(use.value().name()))
        .findFirst()
        .orElseThrow()
        .kind();
  }

  private void pools() {
    var pools = new LinkedHashMap<Tenancy.Times, Integer>();
    Set<String> names = new HashSet<>();
    tenancies.forEach(
        (name, tenancy) -> {
          Tenancy.Times times = tenancy.times();
          int pool =
              pools.computeIfAbsent(
                  times,
                  _ -> {
                    Slots assigned = Slots.of(times);
                    String free = tenancy.lifetime();
                    for (int number = 2; !names.add(free); number++) {
                      free = tenancy.lifetime() + "_" + number;
                    }
                    int added = builder.pool(new Pool(free, assigned.count(), false));
                    slotsByPool.put(added, assigned);
                    return added;
                  });
          builder.buffer(tenancy.in(pool));
          slots.put(name, Objects.requireNonNull(slotsByPool.get(pool)));
        });
    slotsByPool.forEach(this::feeds);
  }

  /** Data and facts are fed when the first of them is needed. */
  private void feeds(int pool, Slots assigned) {
    List<Tenancy> fed =
        tenancies.values().stream()
            .filter(t -> StageBuilder.isFed(t.in(pool)))
            .filter(t -> builder.buffer(number(t.in(pool).name())).pool() == pool)
            .toList();
    if (fed.isEmpty()) {
      return;
    }
    double[] starts = fed.getFirst().times().starts()[0];
    for (int microBatch = 0; microBatch < order.microBatches(); microBatch++) {
      int fedNow = microBatch;
      int slot = assigned.of().get(microBatch);
      events.add(
          new Event(
              starts[microBatch],
              1,
              stage,
              microBatch,
              pool,
              () -> builder.feed(pool, slot, fedNow)));
    }
  }

  private int number(String buffer) {
    return builder
        .find(buffer)
        .orElseThrow(
            () -> new IllegalStateException("stage " + stage + " has no buffer " + buffer));
  }

  /** Buffers for what outlives the step, as the pieces' graphs name it. */
  private void keep(int pool) {
    for (PieceGraphs piece : pieces.values()) {
      var graphs = new ArrayList<>(piece.graphs().values());
      graphs.addAll(piece.first().values());
      graphs.addAll(piece.last().values());
      for (Graph graph : graphs) {
        for (Graph.Input input : graph.inputs()) {
          switch (input.kind()) {
            case PARAMETER, ACCUMULATOR, STATE ->
                keep(piece, input.value().name(), input.value().type(), input.kind(), pool);
            case DATA, FACT -> {}
          }
        }
      }
      for (Graph graph : graphs) {
        for (Graph.Output output : graph.outputs()) {
          String name = Wiring.name(output);
          if (output.donated() == null && Wiring.isSum(piece, name)) {
            keep(piece, name, output.value().type(), Graph.Kind.ACCUMULATOR, pool);
          }
        }
      }
    }
  }

  private void keep(PieceGraphs piece, String name, TensorType local, Graph.Kind kind, int pool) {
    Held held = piece.held(name, local);
    var buffer = new Buffer(name, held.type(), held.layout(), local, kind, pool);
    if (builder.find(name).isEmpty()) {
      builder.buffer(buffer);
    } else if (!builder.buffer(number(name)).equals(buffer)) {
      throw new IllegalStateException(
          "stage " + stage + " keeps " + builder.buffer(number(name)) + " and " + buffer);
    }
  }

  /**
   * A run per action. What adds onto accumulators that hold nothing yet is replaced by what writes
   * them, if there is such a graph and none of them holds anything; else they are cleared first.
   * What is the last to add onto all of its accumulators is replaced by what folds them too.
   */
  private void runs() {
    Map<String, Integer> latest = new HashMap<>();
    for (StageWork work : works.values()) {
      work.sums().forEach(sum -> latest.merge(sum, work.last(), Math::max));
    }
    Set<String> filled = new HashSet<>();
    Set<String> cleared = new LinkedHashSet<>();
    // The first action of a kind fills all that others of the kind add onto.
    Set<StageWork> begun = new HashSet<>();
    eachAction(
        (action, place, work) -> {
          StageWork.Variant variant = StageWork.Variant.PLAIN;
          if (begun.add(work)) {
            Set<String> sums = work.sums();
            if (work.piece().first().containsKey(work.maker().work())
                && !sums.isEmpty()
                && sums.stream().noneMatch(filled::contains)) {
              variant = StageWork.Variant.FIRST;
            } else {
              sums.stream().filter(sum -> !filled.contains(sum)).forEach(cleared::add);
            }
            filled.addAll(sums);
          }
          if (variant == StageWork.Variant.PLAIN && folds(work, place, latest)) {
            variant = StageWork.Variant.LAST;
            folded.addAll(work.sums());
          }
          int fragment = fragment(work, variant);
          events.add(
              new Event(
                  timetable.end(stage, place),
                  0,
                  stage,
                  place,
                  0,
                  () -> run(fragment, action, work)));
        });
    if (!cleared.isEmpty()) {
      int clear = builder.fragment(clear(cleared));
      events.add(new Event(-1, 0, stage, -1, 0, () -> builder.run(clear, Step.ONCE)));
    }
  }

  /** Whether an action is the last to add onto anything. */
  private static boolean folds(StageWork work, int place, Map<String, Integer> latest) {
    if (!work.piece().last().containsKey(work.maker().work())) {
      return false;
    }
    Set<String> sums = work.sums();
    return sums.isEmpty()
        || place == work.last()
            && sums.stream().allMatch(sum -> Objects.equals(latest.get(sum), place));
  }

  /** The accumulators whose sums are folded at last. */
  Set<String> folded() {
    return Set.copyOf(folded);
  }

  private Fragment clear(Set<String> sums) {
    var graph = new Builder("clear");
    var numbers = new ArrayList<Integer>();
    for (String sum : sums) {
      Buffer buffer = builder.buffer(number(sum));
      numbers.add(number(sum));
      Value value = graph.input(sum, buffer.local(), Graph.Kind.ACCUMULATOR);
      graph.output(new Tensor(graph, value).filled(0).value(), value);
    }
    return new Fragment("clear", Work.STEP, 0, graph.build(), numbers, numbers);
  }

  private int fragment(StageWork work, StageWork.Variant variant) {
    if (work.fragment(variant) < 0) {
      work.fragment(variant, added(work, variant));
    }
    return work.fragment(variant);
  }

  private int added(StageWork work, StageWork.Variant variant) {
    Work kind = work.maker().work();
    Graph graph =
        switch (variant) {
          case PLAIN -> work.graph();
          case FIRST -> Objects.requireNonNull(work.piece().first().get(kind));
          case LAST -> Objects.requireNonNull(work.piece().last().get(kind));
        };
    int chunk = work.maker().piece() / timetable.stages();
    String name =
        kind.name().toLowerCase(Locale.ROOT).replace('_', '-')
            + (order.chunks() == 1 ? "" : "." + chunk)
            + (variant == StageWork.Variant.PLAIN
                ? ""
                : "." + variant.name().toLowerCase(Locale.ROOT));
    List<Integer> read = work.reads(graph).stream().map(use -> number(use.place())).toList();
    List<Integer> written = work.writes(graph).stream().map(use -> number(use.place())).toList();
    int added = builder.fragment(new Fragment(name, kind, chunk, graph, read, written));
    touched.put(
        added,
        IntStream.concat(
                read.stream().mapToInt(Integer::intValue),
                written.stream().mapToInt(Integer::intValue))
            .map(buffer -> builder.buffer(buffer).pool())
            .filter(slotsByPool::containsKey)
            .distinct()
            .toArray());
    return added;
  }

  private void run(int fragment, Action action, StageWork work) {
    int microBatch = action.microBatch();
    // The pool of what is kept comes before all others.
    var chosen = new Integer[1 + slotsByPool.size()];
    Arrays.fill(chosen, 0);
    for (int pool : Objects.requireNonNull(touched.get(fragment))) {
      chosen[pool] = Objects.requireNonNull(slotsByPool.get(pool)).of().get(microBatch);
    }
    var further = new ArrayList<Integer>();
    if (timetable.isInline(stage, action)) {
      var backward = new HashSet<Wiring.Maker>(timetable.arriving(work.maker()));
      receives.forEach(
          (name, steps) -> {
            if (backward.stream().anyMatch(m -> sends(m, name))) {
              further.add(steps[microBatch]);
            }
          });
    }
    builder.run(fragment, microBatch, List.of(chosen), further);
  }

  private boolean sends(Wiring.Maker maker, String name) {
    return letters.getOrDefault(maker, Set.of()).contains(new Assembly.Letter(name, stage));
  }

  /** Sends and receives of this stage, both at the time when the value is made. */
  private void transfers() {
    for (Assembly.Transfer transfer : transfers) {
      transfer(transfer.maker(), transfer.letter(), transfer.ordinal());
    }
  }

  private void transfer(Wiring.Maker maker, Assembly.Letter letter, int ordinal) {
    int sender = maker.piece() % timetable.stages();
    int buffer = number(letter.name());
    List<Integer> assigned = Objects.requireNonNull(slots.get(letter.name())).of();
    int[] steps = receives.computeIfAbsent(letter.name(), _ -> new int[order.microBatches()]);
    for (int number = 0; number < order.microBatches(); number++) {
      int microBatch = number;
      int slot = assigned.get(microBatch);
      Runnable emission =
          sender == stage
              ? () -> builder.send(buffer, slot, letter.to(), microBatch)
              : () -> steps[microBatch] = builder.receive(buffer, slot, sender, microBatch);
      events.add(
          new Event(
              timetable.end(maker, microBatch),
              1,
              sender,
              timetable.place(maker, microBatch),
              ordinal,
              emission));
    }
  }
}
