"""What cannot be used on a command line is one clear line and exit code 2, before data are read."""

import pytest

# Does what comes before the data are read, in the place of the pipeline.
BEFORE_DATA = """
import sys
from distill import cli, data, main, pipeline

def check(config, workdir, display):
    pipeline.validate(config)
    data.find(config, display.warn)
    sys.exit(0)

pipeline.run = check
data.sources.network_reachable = lambda: False
cli.run(main.main, cli.parse_config)
"""
QUICK = "--config=configs/simplenet_v4.py:quick"
WHOLE = "it must be a whole number from"
PRINTED = "it must be text that can be printed"
MACHINE = "only paths of this machine's file systems can be used"
KEPT = "checkpoints cannot be kept where a name has"
STUDENT, TEACHER = "student.args=", "teacher.args="

VALUES = [  # of --config.KEY=VALUE
    ("student.epochs=many", f"student.epochs is 'many'; {WHOLE} 1 to 1000000"),
    ("student.epochs=-1", f"student.epochs is -1; {WHOLE} 1"),
    ("student.epochs=1.5", f"student.epochs is '1.5'; {WHOLE} 1"),
    ("student.epochs=1000000000", f"student.epochs is 1000000000; {WHOLE} 1 to 1000000"),
    ("student.epochs=²", f"student.epochs is '²'; {WHOLE} 1"),
    ("student.epochs=True", f"student.epochs is 'True'; {WHOLE} 1"),
    ("student.epochs=None", f"student.epochs is 'None'; {WHOLE} 1"),
    ("teacher.epochs=", f"teacher.epochs is ''; {WHOLE} 1"),
    ("student.steps=1" + "0" * 30, f"student.steps is 1{'0' * 30}; {WHOLE} 1 to 2147483647, or N"),
    ("student.steps=" + "9" * 5000, f"student.steps is '{'9' * 99}…; {WHOLE} 1"),
    ("student.batch_size=0", f"student.batch_size is 0; {WHOLE} 1"),
    ("teacher.members=1000000000", f"teacher.members is 1000000000; {WHOLE} 1 to 1000"),
    ("dataset.image_size=1000000000", f"dataset.image_size is 1000000000; {WHOLE} 0 to 8192"),
    ("dataset.resident_mb=-1", f"dataset.resident_mb is -1; {WHOLE} 0"),
    ("engine.data_parallel=-1", f"engine.data_parallel is -1; {WHOLE} 0"),
    ("export.calibration_images=0", f"export.calibration_images is 0; {WHOLE} 1"),
    ("export.batch_size=0", f"export.batch_size is 0; {WHOLE} 1 to 1024"),
    ("fine_tune.epochs=-1", f"fine_tune.epochs is -1; {WHOLE} 0"),
    ("seed=nan", f"seed is 'nan'; {WHOLE} 0 to 2147483647"),
    ("seed=2147483648", f"seed is 2147483648; {WHOLE} 0 to 2147483647"),
    ("student.learning_rate=hot", "learning_rate is 'hot'; it must be a number, more than 0"),
    ("student.learning_rate=1e-300", "learning_rate is 1e-300; it must be a number, more than 0"),
    ("student.learning_rate=inf", "learning_rate is inf; it must be a number, more than 0"),
    ("student.weight_decay=nan", "weight_decay is nan; it must be a number, 0 or more"),
    ("student.clip_norm=inf", "clip_norm is inf; it must be a number, 0 or more"),
    ("student.l1=-inf", "student.l1 is -inf; it must be a number, 0 or more"),
    ("student.momentum=1", "momentum is 1.0; it must be a number between 0 and 1, without 1"),
    ("loss.temperature=inf", "loss.temperature is inf; it must be a number from 1e-06 to 1e+06"),
    ("loss.temperature=1e400", "loss.temperature is inf; it must be a number from 1e-06 to 1e+06"),
    ("loss.temperature=(1,)", "loss.temperature is '(1,)'; it must be a number from 1e-06"),
    ("loss.alpha=None", "loss.alpha is 'None'; it must be a number from 0 to 1"),
    ("loss.alpha=nan", "loss.alpha is nan; it must be a number from 0 to 1"),
    ("loss.gradient_correction=maybe", "gradient_correction is 'maybe'; it must be True or False"),
    ("checkpoint_every_s=-1", "checkpoint_every_s is -1.0; it must be a number, 0 or more"),
    ("engine.memory_gb=nan", "engine.memory_gb is nan; it must be a number, 0 or more"),
    ("dataset.labelled_fraction=0", "labelled_fraction is 0.0; it must be a number above 0"),
    ("export.max_accuracy_drop=2", "max_accuracy_drop is 2.0; it must be a number from 0 to 1"),
    ("dataset.mean=('a',)", "dataset.mean is ('a',); it must be numbers, one for each channel"),
    ("dataset.mean=(nan,)", "dataset.mean is"),
    ("dataset.mean=(None,)", "dataset.mean is (None,); it must be numbers"),
    ("dataset.mean=()", "dataset.mean is (); it must be numbers"),
    ("dataset.mean=((1,),)", "dataset.mean is ((1,),); it must be numbers"),
    ("dataset.mean=(1e400,)", "dataset.mean is (inf,); it must be numbers"),
    ("dataset.std=None", "dataset.std is"),
    ("dataset.std=(0,)", "dataset.std is (0,); it must be numbers above 0"),
    ("dataset.std=(True,)", "dataset.std is (True,); it must be numbers above 0"),
    ("sweep.seeds=(1.5,)", "sweep.seeds is (1.5,); it must be whole numbers from 0"),
    ("sweep.axes=('a',)", "sweep axis 'a' is no dictionary"),
    (
        "sweep.axes=({'loss.temprature':(1,)},)",
        "'loss.temprature'; did you mean 'loss.temperature'",
    ),
    ("sweep.axes=({'loss.temperature':(nan,)},)", "is no dictionary; axes are written as"),
    ("sweep.axes=({'loss.temperature':(1e400,)},)", "inf"),
    ("sweep.axes=({'student.epochs':(1000000000,)},)", f"epochs is 1000000000; {WHOLE} 1"),
    ("compress=({'method':'svdd'},)", "unknown method 'svdd'; did you mean 'svd'?"),
    ("compress=('a',)", "compress[0] is 'a'; it must be a mapping"),
    (STUDENT + "{'downsample':1}", f"downsample of simplenet_v4 is 1; {PRINTED}"),
    (STUDENT + "{'downsample':'x'}", "unknown downsample 'x'; known: max_pool, strided_conv"),
    (STUDENT + "{'filters':(100000000,100000000)}", "filters of simplenet_v4 is (100000000, 1000"),
    (STUDENT + "{'filters':'a'}", "filters of simplenet_v4 is 'a'; it must be like (8, 16)"),
    (STUDENT + "{'filters':(0,)}", "filters of simplenet_v4 is (0,); it must be like (8, 16) or"),
    ("dataset.train=train[:200%]", "split 'train[:200%]' reaches beyond the 4000 examples"),
    ("dataset.test=test[:1001]", "split 'test[:1001]' reaches beyond the 1000 examples of test"),
    (
        STUDENT + "{'filters':(None,)}",
        "filters of simplenet_v4 is (None,); it must be like (8, 16)",
    ),
    (STUDENT + "{'filters':(-1,)}", "filters of simplenet_v4 is (-1,); it must be like (8, 16)"),
    (STUDENT + "{'kernel_size':0}", f"kernel_size of simplenet_v4 is 0; {WHOLE} 1 to 1024"),
    (STUDENT + "{'nope':1}", "unknown argument of simplenet_v4 'nope'; known: "),
    (STUDENT + "{'num_classes':5}", "unknown argument of simplenet_v4 'num_classes'; known: "),
    (STUDENT + "{'downsample_activation':2}", "downsample_activation of simplenet_v4 is 2; it mus"),
    (STUDENT + "{", "student.args"),
    (TEACHER + "{'dropout':2.0}", "dropout of teacher is 2.0; it must be a number between 0 and 1"),
    (TEACHER + "{'dropout':'nan'}", "dropout of teacher is 'nan'; it must be a number between"),
    (TEACHER + "{'hidden':10**9}", "teacher.args"),
    (TEACHER + "{'hidden':1000000000}", f"hidden of teacher is 1000000000; {WHOLE} 0 to 1048576"),
    ("teacher.args.dropout=2.0", "unknown key of config.teacher.args 'dropout'; there are none"),
    ("student.model=\x01", f"student.model is '\\x01'; {PRINTED}"),
    ("dataset.name=a\nb", f"dataset.name is 'a\\nb'; {PRINTED}"),
    ("dataset.train=train[", "split 'train[' is not written like train, train[:55000]"),
    ("student.optimizer=admw", "unknown optimizer 'admw'; did you mean 'adam'?"),
    ("engine.students=vamp", "unknown engine.students 'vamp'; did you mean 'vmap'?"),
    ("teacher.directory=gs://bucket/x", f"teacher.directory is gs://bucket/x; {MACHINE}"),
    ("teacher.directory=a[1", f"a[1; {KEPT} [ in it"),
    ("teacher.directory=" + "x" * 300, "cannot be written: File name too long"),
    ("dataset.data_dir=s3://bucket", f"dataset.data_dir is s3://bucket; {MACHINE}"),
    ("student.epoch=3", "unknown key of config.student 'epoch'; did you mean 'epochs'?"),
    ("loss.temperature.x=4", "config.loss.temperature is a value, which has no key 'x'"),
    ("student.args.kernel_size=3", """student.args="{'kernel_size': ...}\""""),
]
LINES = [  # whole ones
    ((), "--config is missing, for example --config=configs/simplenet_v4.py"),
    ((QUICK, "config.loss.temperature=4"), "a flag begins with --, as --config.loss.temperature=4"),
    (("config.loss.temperature=4", QUICK), "'config.loss.temperature=4' is no flag"),
    ((QUICK, "quick"), "'quick' is no flag"),
    ((QUICK, "--wrokdir=x"), "wrokdir"),
    ((QUICK, "--shard=2/1"), "--shard"),
    ((QUICK, "--num_processes=²"), "num_processes"),
    ((QUICK, "--flagfile=nowhere"), "nowhere"),
    (("--config=README.md",), "README.md, line 6: SyntaxError: "),
    (("--config=docs/flow.png",), "docs/flow.png: "),
    (("--config=distill/errors.py",), "errors.py: AttributeError: module 'configuration' has no"),
    (("--config=/dev/null",), "unknown configuration file '/dev/null'"),
    (("--config=gs://bucket/x.py",), f"--config is gs://bucket/x.py; {MACHINE}"),
    (("--config=simplenet_v9",), "did you mean 'configs/simplenet_v"),
    ((QUICK, "--workdir=gs://bucket/run"), f"--workdir is gs://bucket/run; {MACHINE}"),
    ((QUICK, "--workdir=gs:/bucket/run"), f"--workdir is gs:/bucket/run; {MACHINE}"),
    ((QUICK, "--workdir=a[1]"), f"a[1]; {KEPT} [ in it"),
    ((QUICK, "--workdir=a\\b"), f"a\\b; {KEPT} \\ in it"),
    ((QUICK, "--workdir=a*"), f"a*; {KEPT} * in it"),
    ((QUICK, "--workdir=~nobody-is-here/x"), "there is no such user's home directory"),
    ((QUICK, "--workdir=/dev/null"), "--workdir is /dev/null, but /dev/null is no directory"),
    ((QUICK, "--workdir=README.md/x"), "README.md is no directory"),
    ((QUICK, "--workdir=/proc/x"), "--workdir /proc/x cannot be written: "),
    ((QUICK, "--workdir= "), "--workdir is ' '; it must be a path that can be printed"),
    ((QUICK, "--workdir=" + "x" * 300), "cannot be written: File name too long"),
]
CASES = [((QUICK, f"--config.{given}"), message) for given, message in VALUES] + LINES


def _name(case):
    return " ".join(case[0])[-50:]


@pytest.mark.parametrize(("arguments", "message"), CASES, ids=map(_name, CASES))
def test_what_cannot_be_used_is_one_clear_line(python, tmp_path, arguments, message):
    if not any(a.startswith("--workdir") for a in arguments):
        arguments = (f"--workdir={tmp_path / 'run'}", *arguments)
    result = python("-c", BEFORE_DATA, *arguments)
    (line,) = (result.stdout + result.stderr).splitlines()
    assert result.returncode == 2 and line.startswith("error: ") and message in line, line
    assert line.isprintable() and len(line) < 1000
    assert not (tmp_path / "run").exists()
