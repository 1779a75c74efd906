package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.engine.library.Torch;
import dev.weft.runtime.machine.Caches;
import dev.weft.runtime.machine.Machine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft doctor}. */
@Command(
    name = "doctor",
    mixinStandardHelpOptions = true,
    description = {
      "Says what this machine has, what it does, and what is wrong with it.",
      "Ends with exit code 2 where something keeps Weft from training."
    })
final class DoctorCommand implements Callable<Integer> {
  private static final Runtime.Version TESTED_JAVA = Runtime.Version.parse("25.0.3");
  private static final Bytes LITTLE_MEMORY = Bytes.of(4L << 30);

  /** The libraries unpacked, and room for a few checkpoints. */
  private static final Bytes LITTLE_DISK = Bytes.of(1L << 30);

  @Option(names = "--format", defaultValue = "text", description = "text or json")
  EvalCommand.Format format;

  /**
   * Something that is wrong.
   *
   * @param stops whether Weft cannot train because of it
   */
  private record Problem(String problem, String mend, boolean stops) {}

  private final List<Problem> problems = new ArrayList<>();
  private final ObjectNode report = new ObjectMapper().createObjectNode();

  @Override
  public Integer call() {
    java();
    processor();
    memory();
    disk("cache", Caches.directory(), "set WEFT_CACHE to a folder on another disk");
    disk("runs", Runs.DIRECTORY.toAbsolutePath(), "run weft in another folder");
    library();
    var list = report.putArray("problems");
    for (Problem problem : problems) {
      list.addObject()
          .put("problem", problem.problem())
          .put("mend", problem.mend())
          .put("stops_training", problem.stops());
    }
    if (format == EvalCommand.Format.JSON) {
      System.out.println(report);
    } else {
      print();
    }
    return problems.stream().anyMatch(Problem::stops) ? Main.USER_MISTAKE : 0;
  }

  private void java() {
    Runtime.Version version = Runtime.version();
    report
        .putObject("java")
        .put("version", version.toString())
        .put("home", System.getProperty("java.home"));
    if (version.compareToIgnoreOptional(TESTED_JAVA) < 0) {
      problems.add(
          new Problem(
              "Java " + version + " is older than the " + TESTED_JAVA + " that Weft is tested with",
              "update the JDK, or point WEFT_JAVA_HOME at a newer one",
              false));
    }
  }

  private void processor() {
    Map<String, String> processor = Machine.processor();
    String model = processor.getOrDefault("model name", "unknown");
    List<String> flags = List.of(processor.getOrDefault("flags", "").split(" "));
    ObjectNode node = report.putObject("processor");
    node.put("model", model);
    node.put("cores", Runtime.getRuntime().availableProcessors());
    var vectors = node.putArray("vector_instructions");
    for (String name : List.of("avx2", "avx512f", "avx512_bf16", "amx_bf16")) {
      if (flags.contains(name)) {
        vectors.add(name);
      }
    }
    if (!flags.contains("avx2")) {
      problems.add(
          new Problem(
              "the processor has no AVX2: kernels run many times slower",
              "use a machine with a processor of the last ten years",
              false));
    }
  }

  private void memory() {
    Bytes memory = Machine.memory();
    String pages = Machine.hugePages();
    report
        .putObject("memory")
        .put("bytes", memory.count())
        .put("available_bytes", Machine.memoryAvailable().count())
        .put("huge_pages", pages);
    if (memory.compareTo(LITTLE_MEMORY) < 0) {
      problems.add(
          new Problem(
              "little memory: " + memory,
              "train with a smaller --batch or --hidden, or more --micro-batches",
              false));
    }
    if (pages.equals("never")) {
      problems.add(
          new Problem(
              "the system gives no huge pages, which large tensors want",
              "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
              false));
    }
  }

  private void disk(String name, Path folder, String mend) {
    Path existing = folder;
    while (existing != null && !Files.exists(existing)) {
      existing = existing.getParent();
    }
    ObjectNode node = report.putObject(name).put("folder", folder.toString());
    if (existing == null || !Files.isDirectory(existing) || !Files.isWritable(existing)) {
      problems.add(new Problem("'" + folder + "' cannot be written", mend, true));
      return;
    }
    try {
      Bytes free = Bytes.of(Files.getFileStore(existing).getUsableSpace());
      node.put("free_bytes", free.count());
      if (free.compareTo(LITTLE_DISK) < 0) {
        problems.add(
            new Problem(
                "only " + free + " are free for '" + folder + "'", "make room, or " + mend, false));
      }
    } catch (IOException e) {
      problems.add(new Problem("'" + folder + "' cannot be looked into: " + e, mend, true));
    }
  }

  private void library() {
    ObjectNode node = report.putObject("libtorch");
    try {
      Torch torch = Torch.instance();
      node.put("version", torch.version().toString());
      node.put("origin", torch.location().origin());
      node.put("matrix_library", torch.blas());
      ObjectNode peaks = report.putObject("matmul_flops_per_second");
      for (DataType dtype : List.of(DataType.F32, DataType.BF16, DataType.F64)) {
        int cores = Runtime.getRuntime().availableProcessors();
        peaks.put(dtype.text(), Machine.matmulPeak(dtype, cores));
      }
      // A processor without instructions for bf16 widens it, which costs more than it saves.
      if (peaks.path("bf16").asDouble() < peaks.path("f32").asDouble() / 2) {
        problems.add(
            new Problem(
                "products in bf16 are slow on this processor", "train with --dtype f32", false));
      }
    } catch (UserException e) {
      problems.add(
          new Problem(
              String.valueOf(e.getMessage()),
              "as it says; without WEFT_LIBTORCH Weft unpacks its own",
              true));
    }
  }

  private void print() {
    line("java", text("java", "version") + ", " + text("java", "home"));
    line("processor", text("processor", "model"));
    line("cores", text("processor", "cores") + ", " + report.at("/processor/vector_instructions"));
    line(
        "memory",
        amount("memory", "bytes")
            + ", "
            + amount("memory", "available_bytes")
            + " available, huge pages: "
            + text("memory", "huge_pages"));
    for (String folder : List.of("cache", "runs")) {
      line(folder, text(folder, "folder") + ", " + amount(folder, "free_bytes") + " free");
    }
    if (report.path("libtorch").has("version")) {
      line("libtorch", text("libtorch", "version") + ", " + text("libtorch", "origin"));
      line("blas", text("libtorch", "matrix_library"));
    }
    report
        .path("matmul_flops_per_second")
        .properties()
        .forEach(
            peak ->
                line(
                    "matmul " + peak.getKey(),
                    "%.1f GFLOP/s".formatted(peak.getValue().asDouble() / 1e9)));
    for (Problem problem : problems) {
      System.out.println((problem.stops() ? "problem: " : "note: ") + problem.problem());
      System.out.println("   mend: " + problem.mend());
    }
    long stopping = problems.stream().filter(Problem::stops).count();
    System.out.println(
        stopping == 0 ? "ready to train" : stopping + (stopping == 1 ? " problem" : " problems"));
  }

  private static void line(String name, String value) {
    System.out.printf(Locale.ROOT, "%-12s %s%n", name, value);
  }

  private String text(String part, String key) {
    return report.path(part).path(key).asText();
  }

  private String amount(String part, String key) {
    return Bytes.of(report.path(part).path(key).asLong()).toString();
  }
}
