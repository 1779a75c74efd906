package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.UserException;
import dev.weft.core.grad.GradientMacro;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.GraphTextException;
import dev.weft.core.overlap.CollectiveMatmul;
import dev.weft.core.overlap.Level;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.shard.Explanation;
import dev.weft.core.shard.MeshCheck;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import dev.weft.nn.step.MatmulLooping;
import dev.weft.nn.step.PipelineStep;
import dev.weft.nn.step.ShardedStep;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.trainer.Loops;
import dev.weft.runtime.trainer.Session;
import dev.weft.runtime.trainer.TrainConfig;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft explain}. */
@Command(
    name = "explain",
    mixinStandardHelpOptions = true,
    description =
        "How a model's training step, or a graph from a file, is split over a mesh: every value,"
            + " and every collective with its bytes, its reason and the line that caused it.")
final class ExplainCommand implements Callable<Integer> {
  /** The options of models that graphs have, too. */
  private static final List<String> OF_GRAPHS = List.of("mesh", "collective-matmul");

  @CommandLine.Spec CommandLine.Model.CommandSpec spec;

  @Option(
      names = "--graph",
      paramLabel = "FILE",
      description = "a graph in the text form, with shardings; without it the model is explained")
  @Nullable Path graph;

  @Option(
      names = "--mesh",
      paramLabel = "AXES",
      description = "the mesh, like data=2,model=4; of each stage where there are stages")
  @Nullable String mesh;

  @Option(names = "--format", defaultValue = "text", description = "text or json")
  EvalCommand.Format format;

  @Override
  public Integer call() {
    boolean isCut = graph == null && ConfigOptions.read(spec.commandLine()).stages() > 1;
    if (mesh == null && !isCut) {
      throw new UserException(
          "weft explain tells how a model is split: add --mesh, like --mesh data=2,model=4, or"
              + " --stages 2 for where it is cut");
    }
    Mesh devices = mesh == null ? Mesh.SINGLE : Mesh.parse(mesh);
    Explanation explanation = graph == null ? ofModel(devices) : ofFile(graph, devices);
    ObjectNode tree = json(explanation);
    String text = mesh == null ? "" : text(devices, explanation);
    if (isCut) {
      var stages = StagesExplained.of(ConfigOptions.read(spec.commandLine()));
      stages.json(tree.putArray("stages"));
      text = stages.text() + text;
      stages.remarks().forEach(remark -> System.err.println("note: " + remark));
    }
    System.out.print(format == EvalCommand.Format.JSON ? tree + "\n" : text);
    System.out.flush();
    explanation.remarks().forEach(remark -> System.err.println("warning: " + remark));
    return 0;
  }

  private Explanation ofModel(Mesh devices) {
    TrainConfig config = ConfigOptions.read(spec.commandLine());
    Session.Spec trained = Session.spec(config);
    StepGraphs graphs =
        StepGraphs.of(
            trained.model(),
            trained.data(),
            trained.parameterType(),
            trained.optimizer(),
            trained.clip());
    ShardedStep whole = ShardedStep.of(graphs, devices, config.zero(), trained.microBatches());
    ShardedStep cut =
        config.subPipeline().equals("0") ? whole : whole.inHalves(halves(config, trained));
    boolean loops = loops(config, ShardedStep.graphs(cut.passes()), devices);
    return (loops ? cut.looped() : cut).explanation();
  }

  /** Whether collectives would be looped; says why if that was to be found. */
  private static boolean loops(TrainConfig config, List<Graph> graphs, Mesh devices) {
    MatmulLooping.Chosen loops =
        Loops.parse(config.collectiveMatmul(), config.cores()).choose(graphs, devices);
    loops.remark().ifPresent(remark -> System.err.println("note: " + remark));
    return loops.loops();
  }

  /** The level of halves that the model would be trained at. */
  private static Level halves(TrainConfig config, Session.Spec trained) {
    PipelineStep step =
        PipelineStep.of(
            trained.model(),
            trained.data(),
            trained.parameterType(),
            trained.optimizer(),
            trained.clip(),
            config.pipelinePlan());
    step.remarks().forEach(remark -> System.err.println("note: " + remark));
    return step.halves();
  }

  private Explanation ofFile(Path file, Mesh devices) {
    for (String option : TrainConfig.keys()) {
      if (!OF_GRAPHS.contains(option)
          && spec.commandLine().getParseResult().hasMatchedOption("--" + option)) {
        throw new UserException("--" + option + " is for models: leave it or --graph out");
      }
    }
    TrainConfig config = ConfigOptions.read(spec.commandLine());
    Graph program = read(file);
    MeshCheck.requireKnown(program, devices);
    MeshCheck.requireUsed(devices, MeshCheck.axesInUse(program));
    Partitioned plain = Partitioner.partition(program, devices);
    boolean loops = loops(config, List.of(plain.graph()), devices);
    return Explanation.of(program, loops ? CollectiveMatmul.apply(plain) : plain);
  }

  private static Graph read(Path file) {
    try {
      return GradientMacro.parse(Files.readString(file), String.valueOf(file.getFileName()));
    } catch (GraphTextException e) {
      throw new UserException("'" + file + "': " + e.getMessage(), e);
    } catch (CharacterCodingException e) {
      throw new UserException("'" + file + "' is no UTF-8 text", e);
    } catch (IOException e) {
      throw new UserException("cannot read '" + file + "': " + e, e);
    }
  }

  /** The explanation as JSON, in the order that it is read in. */
  static ObjectNode json(Explanation explanation) {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    ArrayNode collectives = tree.putArray("collectives");
    for (CollectiveUse use : explanation.collectives()) {
      ObjectNode node = collectives.addObject();
      node.put("kind", use.op().kind().toString());
      ArrayNode axes = node.putArray("axes");
      use.op().axes().forEach(axis -> axes.add(axis.name()));
      node.put("group_size", use.op().members());
      node.put("dtype", use.local().dtype().text());
      shape(node.putArray("local_shape"), use.local());
      shape(node.putArray("global_shape"), use.global());
      node.put("bytes_per_device", use.bytes());
      node.put("count", use.count());
      node.put("role", use.role().text());
      node.put("value", "%" + use.value());
      node.put("source", use.source());
      node.put("reason", use.reason());
    }
    ObjectNode totals = tree.putObject("totals");
    explanation
        .totals()
        .forEach(
            (kind, total) ->
                totals
                    .putObject(kind.toString())
                    .put("count", total.count())
                    .put("bytes", total.bytes()));
    totals.put("bytes_per_device", explanation.bytesPerDevice());
    ArrayNode values = tree.putArray("values");
    for (Explanation.SplitValue value : explanation.values()) {
      values
          .addObject()
          .put("name", value.name())
          .put("spec", value.spec().toString())
          .put("from", value.from());
    }
    return tree;
  }

  private static void shape(ArrayNode array, TensorType type) {
    for (long size : type.shape().sizes()) {
      array.add(size);
    }
  }

  private static String text(Mesh mesh, Explanation explanation) {
    var text = new StringBuilder();
    line(text, "mesh %s: %d devices", mesh, mesh.size());
    line(text, "");
    line(text, "values");
    int name = 1;
    int type = 1;
    int spec = 1;
    for (Explanation.SplitValue value : explanation.values()) {
      name = Math.max(name, value.name().length());
      type = Math.max(type, value.type().toString().length());
      spec = Math.max(spec, value.spec().toString().length());
    }
    String columns = "  %-" + name + "s  %-" + type + "s  %-" + spec + "s  %s";
    for (Explanation.SplitValue value : explanation.values()) {
      line(text, columns, value.name(), value.type(), value.spec(), value.from());
    }
    line(text, "");
    line(text, "collectives");
    for (CollectiveUse use : explanation.collectives()) {
      line(
          text,
          "  %s over %s (%d devices) of %%%s: %s of %s, %,d bytes, %s, %s",
          use.op().kind(),
          use.op().axes().stream().map(MeshAxis::name).collect(Collectors.joining(",")),
          use.op().members(),
          use.value(),
          use.local(),
          use.global(),
          use.bytes(),
          use.count() == 1 ? "once" : use.count() + " times",
          use.role().text());
      line(text, "    %s: %s", use.source(), use.reason());
    }
    line(text, "");
    line(text, "totals");
    explanation
        .totals()
        .forEach(
            (kind, total) -> {
              if (total.count() > 0) {
                line(text, "  %-14s %,8d %,16d bytes", kind, total.count(), total.bytes());
              }
            });
    line(text, "  a device sends %,d bytes, before merging", explanation.bytesPerDevice());
    return text.toString();
  }

  private static void line(StringBuilder text, String format, Object... arguments) {
    text.append(String.format(Locale.ROOT, format, arguments).stripTrailing()).append('\n');
  }
}
