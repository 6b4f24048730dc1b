"""Names of tags that kinemill sets on versions and runs in MLflow; each value is plain text."""

KEY = "kinemill.key"  # digest of the artifacts and the rules
TASK = "kinemill.task_digest"  # digest of the task
DATASET = "kinemill.dataset"  # key of the dataset
MODEL = "kinemill.model"  # key of the trained model
MODEL_FOLDER = "kinemill.model_folder"  # folder of its weights, relative to the home
REFERENCE = "kinemill.reference"  # name of the reference that the version is; absent: trained
TRAINED = "kinemill.trained"  # of a reference: digest of the model trained in the same run
TRAINED_FOLDER = "kinemill.trained_folder"  # folder of its weights, relative to the home
STARTED_FROM = "kinemill.started_from"  # the version or folder that training started from
ONNX = "kinemill.onnx"  # sha256 of rollout.onnx
VERIFICATION = "kinemill.verification"  # key of the verification
COMMIT = "kinemill.commit"  # git commit of the code
BUNDLE = "kinemill.bundle"  # folder relative to the home
BUNDLE_DIGEST = "kinemill.bundle_digest"  # digest of the bundle
SUMS = "kinemill.sums"  # sha256 of `sha256sums`
REPORT = "kinemill.report"  # file relative to the home, next to `decision.json`
DECISION = "kinemill.decision"  # champion, waiting or refused; written last
PROVISIONAL = "kinemill.provisional"  # no, or why the champion is provisional
NO = "no"  # MLflow shows an empty tag as missing
TRIALS = "kinemill.trials"  # counted trials on a robot, such as 17 of 20
PERFORMANCE = "kinemill.performance"  # the sentence about errors and the best reference
VERSION = "kinemill.version"  # on the run: its version
NOTE = "mlflow.note.content"  # on the run: the description that MLflow shows

OF_DECISION = frozenset({DECISION, PROVISIONAL, REPORT})  # set by the gate
