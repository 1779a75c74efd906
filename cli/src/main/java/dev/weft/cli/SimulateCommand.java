package dev.weft.cli;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.UserException;
import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Timeline;
import dev.weft.core.program.Work;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.schedule.Setting;
import dev.weft.core.simulate.Choice;
import dev.weft.core.simulate.EqualStages;
import dev.weft.core.simulate.Simulation;
import dev.weft.core.simulate.Simulator;
import dev.weft.core.simulate.UnitCosts;
import dev.weft.core.stage.Recomputation;
import dev.weft.runtime.cluster.ClusterFile;
import dev.weft.runtime.trace.ChromeTrace;
import dev.weft.runtime.trace.TimelinePage;
import dev.weft.runtime.trace.TimelineText;
import dev.weft.runtime.trainer.Recompute;
import dev.weft.runtime.trainer.TrainConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.function.IntFunction;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft simulate}. */
@Command(
    name = "simulate",
    mixinStandardHelpOptions = true,
    description =
        "What a pipeline takes by a schedule: makespan, bubble, live micro-batches, and who does"
            + " what when; of equal stages, or of a model on a cluster (--model, --cluster).")
final class SimulateCommand implements Callable<Integer> {
  private static final int COLUMNS = 100;
  private static final int MOST_LINES = 64;

  /** Times from which on sums of many, and what is added to them, might not be told apart. */
  private static final double LONGEST = 1e12;

  /** Stages times micro-batches that memory and patience last for; 2,048 times 1,024 take 30 s. */
  private static final long MOST_PARTS = 1L << 24;

  @Option(names = "--stages", required = true, paramLabel = "K", description = "equal stages")
  int stages;

  @Option(
      names = "--micro-batches",
      required = true,
      paramLabel = "M",
      description = "micro-batches that flow through them")
  int microBatches;

  @Option(
      names = "--schedule",
      defaultValue = "1f1b",
      paramLabel = "NAME",
      description = "gpipe, 1f1b, eager-1f1b, shifted, interleaved or zero-bubble")
  String schedule;

  @Option(
      names = "--chunks",
      paramLabel = "V",
      description = "parts of the model per stage; interleaved takes 2 if not said, all others 1")
  @Nullable Integer chunks;

  @Option(
      names = "--recompute",
      defaultValue = "none",
      paramLabel = "RULE",
      description =
          "what backwards do again: none, full, fraction=0.5, stage-aware=0.6;"
              + " with --model also auto, what the memory of each stage demands")
  String recompute;

  @Option(
      names = "--recompute-timing",
      defaultValue = "early",
      paramLabel = "WHEN",
      description =
          "early: when its turn comes; inline: not before the gradient has arrived (as published)")
  String timing;

  @Option(
      names = "--unit-costs",
      paramLabel = "COSTS",
      description =
          "what a stage takes per micro-batch to go forward (F), backward (B), to recompute (R);"
              + " input and weight gradient (I, W) share B if not said (F=1,B=2,R=1)")
  @Nullable String unitCosts;

  @Option(
      names = "--link-delay",
      paramLabel = "TIME",
      description = "how long values are under way between stages, keeping nobody (0)")
  @Nullable Double linkDelay;

  @Option(names = "--format", defaultValue = "text", description = "text or json")
  EvalCommand.Format format;

  @Option(names = "--html", paramLabel = "FILE", description = "writes the timeline as a page")
  @Nullable Path html;

  @Option(
      names = "--model",
      paramLabel = "NAME",
      description = "a model or a published size like gpt-6.7b, cut into the stages")
  @Nullable String model;

  @Option(
      names = "--cluster",
      paramLabel = "NAME",
      description =
          "what it runs on: a preset like p3.16xlarge:8 (hosts), a file, or local, this machine as"
              + " ./weft cluster profile measured it (default: local)")
  @Nullable String cluster;

  @Option(
      names = "--mesh",
      paramLabel = "AXES",
      description = "of the model: how each stage's devices stand, like data=2,model=4")
  @Nullable String mesh;

  @Option(
      names = "--cut",
      paramLabel = "SCOPES",
      description =
          "of the model: what the second stage and all later ones begin with, like h.2,h.4; found"
              + " by costs if not said")
  @Nullable String cut;

  @Option(names = "--zero", paramLabel = "N", description = "of the model: the stage of ZeRO")
  @Nullable Integer zero;

  @Option(
      names = "--sub-pipeline",
      paramLabel = "LEVEL",
      description =
          "of the model: how far two halves of a device's rows stay apart, 0 to 3, or auto, the"
              + " fastest on that cluster")
  @Nullable String subPipeline;

  @Option(names = "--batch", paramLabel = "N", description = "of the model: sequences per step")
  @Nullable Integer batch;

  @Option(names = "--dtype", paramLabel = "TYPE", description = "of the model: f32, bf16 or f64")
  @Nullable String dtype;

  @Option(
      names = "--trace",
      paramLabel = "FILE",
      description = "writes the timeline as JSON that Perfetto reads")
  @Nullable Path trace;

  @Override
  public Integer call() {
    if ((long) stages * microBatches > MOST_PARTS) {
      throw new UserException(
          "--stages %d times --micro-batches %d are %,d, simulated are at most %,d: take fewer"
              .formatted(stages, microBatches, (long) stages * microBatches, MOST_PARTS));
    }
    if (model != null) {
      if (unitCosts != null || linkDelay != null) {
        throw new UserException(
            "--unit-costs and --link-delay tell of equal stages, and those of a model take what"
                + " its ops take on --cluster: leave them out, or --model");
      }
      return simulateModel(model);
    }
    if (recompute.equals(Recompute.AUTO)) {
      throw new UserException(
          "--recompute auto is fitted to the memory of devices, and equal stages have none: add"
              + " --model, or simulate none, full, fraction=0.5 or stage-aware=0.6");
    }
    if (cluster != null
        || mesh != null
        || cut != null
        || zero != null
        || subPipeline != null
        || batch != null
        || dtype != null) {
      throw new UserException(
          "--cluster, --mesh, --cut, --zero, --sub-pipeline, --batch and --dtype tell of a model:"
              + " add --model, like --model gpt-6.7b");
    }
    double delay = linkDelay == null ? 0 : linkDelay;
    if (!(delay >= 0 && delay <= LONGEST)) {
      throw new UserException(
          "--link-delay must be a time of at least 0 and at most %.0e, found %s"
              .formatted(LONGEST, delay));
    }
    Map<Work, Double> unit = UnitCosts.parse(unitCosts == null ? "" : unitCosts);
    unit.forEach(
        (work, cost) -> {
          if (cost > LONGEST) {
            throw new UserException(
                "--unit-costs may be at most %.0e, found %s=%s: take a larger unit of time"
                    .formatted(LONGEST, work.letter(), cost));
          }
        });
    Schedule asked = Schedules.named(schedule);
    int parts = chunks == null ? asked.usualChunks() : chunks;
    Setting plain = Setting.of(stages, microBatches).withChunks(parts);
    IntFunction<Recomputation> rule = Recompute.parse(recompute, stages);
    var shares = new ArrayList<Double>();
    var recomputing = new HashSet<Integer>();
    for (int piece = 0; piece < plain.pieces(); piece++) {
      shares.add(share(rule.apply(piece)));
      if (shares.get(piece) > 0) {
        recomputing.add(piece);
      }
    }
    var costs = new UnitCosts(unit, shares, stages, new Link(delay, Double.POSITIVE_INFINITY));
    var simulations = new IdentityHashMap<Order, Simulation>();
    Choice choice =
        Choice.of(
            asked,
            plain.withRecomputing(recomputing, Recompute.timing(timing)),
            order -> {
              Simulation simulation = Simulator.simulate(EqualStages.program(order), costs);
              simulations.put(order, simulation);
              return simulation.makespan();
            });
    Simulation found = Objects.requireNonNull(simulations.get(choice.taken().order()));
    if (format == EvalCommand.Format.JSON) {
      printJson(json(choice, found), found);
    } else {
      System.out.print(text(choice, found));
    }
    System.out.flush();
    choice.remark().ifPresent(remark -> System.err.println("note: " + remark));
    if (html != null) {
      write(html, TimelinePage.of(found.timeline(title(choice))));
    }
    if (trace != null) {
      write(trace, ChromeTrace.of(found.timeline(title(choice))).toString());
    }
    return 0;
  }

  private int simulateModel(String name) {
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes.put("model", name).put("stages", stages).put("micro-batches", microBatches);
    changes.put("schedule", schedule).put("recompute", recompute).put("recompute-timing", timing);
    changes.put("chunks", chunks == null ? 0 : chunks);
    if (mesh != null) {
      changes.put("mesh", mesh);
    }
    if (cut != null) {
      changes.put("cut", cut);
    }
    if (zero != null) {
      changes.put("zero", zero);
    }
    if (subPipeline != null) {
      changes.put("sub-pipeline", subPipeline);
    }
    if (batch != null) {
      changes.put("batch", batch);
    }
    if (dtype != null) {
      changes.put("dtype", dtype);
    }
    TrainConfig config = TrainConfig.defaultsOf(name).with(changes, "the command line");
    var simulated =
        ModelSimulation.of(config, ClusterFile.read(cluster == null ? ClusterFile.LOCAL : cluster));
    System.out.print(
        format == EvalCommand.Format.JSON ? simulated.json() + "\n" : simulated.text());
    System.out.flush();
    simulated.remarks().forEach(remark -> System.err.println("note: " + remark));
    if (html != null) {
      write(html, TimelinePage.of(simulated.timeline()));
    }
    if (trace != null) {
      write(trace, ChromeTrace.of(simulated.timeline()).toString());
    }
    return 0;
  }

  /** How much of its forward an abstract piece does again. */
  private static double share(Recomputation recomputation) {
    return switch (recomputation) {
      case Recomputation.None() -> 0;
      case Recomputation.Full() -> 1;
      case Recomputation.Fraction(double kept) -> 1 - kept;
      case Recomputation.Budget _ ->
          throw new IllegalStateException("stages without a model have no memory");
    };
  }

  private static void write(Path file, String text) {
    try {
      Files.writeString(file, text);
    } catch (IOException e) {
      throw new UserException("cannot write '" + file + "': " + e, e);
    }
  }

  private String title(Choice choice) {
    return choice.taken().name()
        + ", "
        + stages
        + (stages == 1 ? " stage, " : " stages, ")
        + microBatches
        + (microBatches == 1 ? " micro-batch" : " micro-batches");
  }

  private ObjectNode json(Choice choice, Simulation found) {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    tree.put("schedule", choice.taken().order().schedule());
    tree.put("stages", stages);
    tree.put("micro_batches", microBatches);
    tree.put("chunks", choice.taken().order().chunks());
    tree.put("makespan", rounded(found.makespan()));
    tree.put("bubble", rounded(found.bubble()));
    ArrayNode live = tree.putArray("peak_live");
    ArrayNode held = tree.putArray("peak_held");
    ArrayNode busy = tree.putArray("busy");
    ArrayNode exposed = tree.putArray("exposed");
    for (Simulation.StageUse use : found.stages()) {
      live.add(use.peakLive());
      held.add(use.peakHeld());
      busy.add(rounded(use.busy()));
      exposed.add(rounded(use.exposed()));
    }
    ArrayNode considered = tree.putArray("considered");
    for (Choice.Candidate candidate : choice.considered()) {
      considered
          .addObject()
          .put("name", candidate.name())
          .put("makespan", rounded(candidate.makespan()))
          .put("taken", candidate == choice.taken());
    }
    choice.remark().ifPresent(remark -> tree.put("remark", remark));
    return tree;
  }

  /** Prints what was found, and the order of all stages, which may be millions of actions. */
  private static void printJson(ObjectNode tree, Simulation found) {
    try (JsonGenerator json = new ObjectMapper().getFactory().createGenerator(System.out)) {
      json.disable(JsonGenerator.Feature.AUTO_CLOSE_TARGET);
      json.writeStartObject();
      for (Map.Entry<String, JsonNode> field : tree.properties()) {
        json.writeFieldName(field.getKey());
        json.writeTree(field.getValue());
      }
      json.writeArrayFieldStart("order");
      for (StageProgram stage : found.program().stages()) {
        json.writeStartArray();
        for (Action action : found.order(stage.stage())) {
          json.writeString(action.toString());
        }
        json.writeEndArray();
      }
      json.writeEndArray();
      json.writeEndObject();
      json.writeRaw('\n');
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Sums of halves and thirds without what doubles add to them. */
  private static double rounded(double number) {
    return Double.parseDouble(Timeline.text(number));
  }

  private String text(Choice choice, Simulation found) {
    var text = new StringBuilder();
    text.append(title(choice)).append('\n');
    text.append("makespan ").append(Timeline.text(found.makespan()));
    text.append(String.format(Locale.ROOT, ", bubble %.2f %%%n", 100 * found.bubble()));
    text.append("\n stage      busy   waiting   exposed  live  held\n");
    List<Simulation.StageUse> uses = found.stages();
    for (Simulation.StageUse use : uses.subList(0, Math.min(MOST_LINES, uses.size()))) {
      text.append(
          String.format(
              Locale.ROOT,
              "%6d %9s %9s %9s %5d %5d%n",
              use.stage(),
              Timeline.text(use.busy()),
              Timeline.text(found.makespan() - use.busy()),
              Timeline.text(use.exposed()),
              use.peakLive(),
              use.peakHeld()));
    }
    if (uses.size() > MOST_LINES) {
      return text.append("   ... and ")
          .append(uses.size() - MOST_LINES)
          .append(" more stages\n")
          .toString();
    }
    Timeline timeline = found.timeline(title(choice));
    if (timeline.events().size() <= Timeline.MOST_EVENTS) {
      text.append(
          TimelineText.of(timeline, COLUMNS).stream()
              .collect(Collectors.joining("\n", "\n stage\n", "\n")));
    }
    return text.toString();
  }
}
