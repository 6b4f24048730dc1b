"""Names of what a version and its run carry in MLflow."""

from kinemill.runtime import canary, registry_client

KEY = "kinemill.key"  # digest of what was registered under which rules
WISHES = "kinemill.wishes"  # digest of what the task asked of it
TASK = "kinemill.task_digest"
DATASET = "kinemill.dataset"
MODEL = "kinemill.model"
MODEL_FOLDER = "kinemill.model_folder"  # of its weights, relative to the home
REFERENCE = "kinemill.reference"  # name of the reference that the version is; absent: trained
TRAINED = "kinemill.trained"  # of a reference: digest of the model trained in the same run
TRAINED_FOLDER = "kinemill.trained_folder"  # of its weights, relative to the home
STARTED_FROM = "kinemill.started_from"  # the version, or folder, whose weights came first
ONNX = "kinemill.onnx"  # sha256 of rollout.onnx
VERIFICATION = "kinemill.verification"
COMMIT = "kinemill.commit"
BUNDLE = "kinemill.bundle"  # folder relative to the home
BUNDLE_DIGEST = "kinemill.bundle_digest"
METRICS = "kinemill.metrics"
GATE = "kinemill.gate"
BEFORE = "kinemill.champion_measured"  # what the gate found of the champion, by channel; JSON
PREVIOUS = "kinemill.previous_champion"
REPORT = "kinemill.report"  # file relative to the home
DECISION = "kinemill.decision"  # champion or refused; written last
VERSION = "kinemill.version"  # on the run: which version it became
APPROVED = "kinemill.approved"  # who, when, whether breaking; JSON
BETTER = "kinemill.blessing.better"  # yes or no: every rule but `serves` holds
PROVISIONAL = (
    registry_client.PROVISIONAL_TAG
)  # no, or what a champion with too little test data lacks
NO = "no"  # MLflow shows an empty tag as none
SERVES = "kinemill.blessing.serves"  # yes or no: loads and answers in the serving runtime
PERFORMANCE = "kinemill.performance"  # the sentence about errors and the best reference
NOTE = "mlflow.note.content"  # on the run: the description that MLflow shows
CHAMPION = "kinemill.champion"  # on the registered model: who is champion, should its alias go
NAME = "kinemill.task"  # on the registered model: whose it is
EVENT = "kinemill.event."  # on the registered model: one line of the audit trail each, JSON
APPLIED = "kinemill.applied"  # on the registered model: the ledger's last record that it shows
OWN = "kinemill."  # with which all names of ours begin
CANARY = canary.TAG
SUMS = registry_client.SUMS_TAG
